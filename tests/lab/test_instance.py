"""An instance on several hosts over SSH: it comes up, survives a host's death, and leaves nothing."""

from __future__ import annotations

import re

import pytest

from infra.lab.host import LabHost
from infra.lab.lab import Lab
from tests.lab.instance import INSTANCE, MakeInstance, cluster, on, running
from tests.project import Project
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
    check_audits(project, steady, dying)


def check_audits(project: Project, steady: LabHost, other: LabHost) -> None:
    """See that an audit over SSH sees what is planted, a host that is off, and at last that nothing is left."""
    project.azlocal("audit").expect()
    planted = ["ip", "link", "add", "planted", "type", "bridge"]
    steady.run(*planted)
    steady.run("touch", "/etc/planted")
    said = project.azlocal("audit", "--strict").expect(2).output
    assert "link planted" in said
    assert "file /etc/planted" in said
    steady.run("ip", "link", "delete", "planted")
    steady.run("rm", "/etc/planted")
    other.power_off()
    assert f"{other.name}: 0 objects looked at" in project.azlocal("audit").expect(1).output
    other.power_on()
    project.settle("--before-destroy").expect()
    project.destroy().expect()
    assert "objects looked at, by mark alone" in project.azlocal("audit").expect().output
