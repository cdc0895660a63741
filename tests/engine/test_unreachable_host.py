"""A host that isn't there, as the real engine and the plugin process tell it: no libvirt, no root."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.engine.node_image import plain_image
from tests.project import example
from tests.waiting import waits_less_than

pytestmark = pytest.mark.engine


def test_a_host_that_does_not_answer_is_named_quickly(tmp_path: Path) -> None:
    project = example(tmp_path / "project", "local")
    project.environment |= plain_image(tmp_path / "cache")
    project.edit(nodeImage="plain", clusters=[])
    hosts = project.directory / "hosts" / "local.yaml"
    content = yaml.safe_load(hosts.read_text())
    content["hosts"][0] |= {"connection": "qemu+ssh://root@127.0.0.1:1/system", "managementAddress": "10.197.40.2"}
    hosts.write_text(yaml.safe_dump(content))
    with waits_less_than(120):
        run = project.up()
        assert run.code != 0
    assert "no connection to 127.0.0.1 port 1" in run.output
    assert "Traceback" not in run.output
    assert project.kinds().keys() & {"Host", "Network", "Image", "Machine"} == set(), run.output
