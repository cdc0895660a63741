"""An instance on several hosts over SSH: it comes up, survives a host's death, and leaves nothing."""

from __future__ import annotations

import re

import pytest

from infra.ssh import fingerprint
from tests.cluster import eventually
from tests.lab.host import LabHost
from tests.lab.instance import INSTANCE, MakeInstance, cluster, on
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
    for name in wanted:
        assert on(project, lab, name, "hostname") == name
    project.refresh("--expect-no-changes").expect()


def running(host: LabHost) -> set[str]:
    """Return the containers that run on a host, asked at its console."""
    return set(host.run("virsh", "-q", "-c", "lxc:///system", "list", "--name").stdout.split())
