"""An instance on several hosts over SSH: it comes up, survives a host's death, and leaves nothing."""

from __future__ import annotations

import re

import pytest

from infra.lab.lab import Lab
from tests.lab.instance import INSTANCE, MakeInstance, cluster, on, running
from tests.waiting import eventually

pytestmark = pytest.mark.lab


def test_a_host_that_dies_during_up_fails_by_its_machines_names(lab: Lab, make_instance: MakeInstance) -> None:
    project = make_instance(clusters=[cluster(5)])
    steady, dying = lab.hosts
    up = project.start("up", "--yes", "--skip-preview")
    eventually(lambda: running(dying), "a machine on the host that is to die", seconds=240)
    dying.power_off()
    said, _ = up.communicate(timeout=300)
    assert up.returncode == 255, said

    wanted = {f"{INSTANCE}-{name}" for name in ("rb-0", "a-cp-0", *(f"a-pool1-{number}" for number in range(5)))}
    failed = set(re.findall(r"azlocal:index:Machine \((\S+)\):", said))
    assert failed == wanted - running(steady)
    assert len(failed) >= 3

    dying.power_on()
    project.settle().expect()
    project.up().expect()
    assert running(steady) | running(dying) == wanted
    machines = project.outputs()["machines"]
    assert {name: one["host"] for name, one in machines.items()} == {
        name: host.name for host in lab.hosts for name in running(host)
    }
    assert {one["host"] for one in machines.values()} == {"node1", "node2"}
    for name in wanted:
        assert on(project, lab, name, "hostname") == name
    project.refresh("--expect-no-changes").expect()
