"""An instance on several hosts over SSH: it comes up, survives a host's death, and leaves nothing."""

from __future__ import annotations

import pytest

from infra.ssh import fingerprint
from tests.lab.instance import MakeInstance, cluster, on
from tests.lab.lab import Lab

pytestmark = pytest.mark.lab


def test_machines_come_up_on_every_host_and_go_again(lab: Lab, make_instance: MakeInstance) -> None:
    project = make_instance(clusters=[cluster(3)])
    project.up().expect()
    machines = project.outputs()["machines"]
    assert {one["host"] for one in machines.values()} == {"node1", "node2"}
    for name in machines:
        assert on(project, lab, name, "hostname") == name
    project.refresh("--expect-no-changes").expect()


def test_a_wrong_host_key_stops_up_before_anything_is_made_there(lab: Lab, make_instance: MakeInstance) -> None:
    project = make_instance()
    host = lab.hosts[1]
    expected, found = fingerprint(host.host_key), fingerprint(host.renew_host_key())
    said = project.up().expect(255).output
    for word in (f"root@{host.address}: its host key is", expected, found, "ssh-keygen -R"):
        assert word in said
    assert host.run("ls", "/var/lib/azlocal").stdout == ""
    lab.pin_host_keys()
    project.up().expect()
