"""A lab's host loses its power, then its cable, with a worker of a real cluster on it: as drills.

Two nodes of Kubernetes on two hosts take minutes of two processors: marked full.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.lab import Lab
from infra.lab.site import hosts_file, netplan
from tests.instance import require_image
from tests.lab.instance import INSTANCE, bring_image, cluster, instances, running
from tests.project import Project

pytestmark = [pytest.mark.lab, pytest.mark.full]

SIZES = {"Node": {"vcpus": 2, "memoryGiB": 3, "diskGiB": 20}, "Tiny": {"vcpus": 1, "memoryGiB": 1, "diskGiB": 16}}
PINS = {"a-cp-0": "node1", "a-pool1-0": "node2"}
WORKER = f"{INSTANCE}-a-pool1-0"


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Iterator[Project]:
    """Return a project whose cluster has its control plane on node1, the way to it, and its worker on node2."""
    require_image("kubernetes")
    prefix = netplan(lab)["logicalNetworks"][0]["addressPrefix"]
    subprocess.run(["ip", "route", "add", prefix, "via", str(lab.host("node1").address)], check=True)
    plane, pool = {"count": 1, "vmSize": "Node"}, {"name": "pool1", "count": 1, "vmSize": "Node"}
    wanted = cluster(1, provisioning="kubernetes", controlPlane=plane, agentPools=[pool], timeoutMinutes=15)
    with instances(lab, tmp_path) as make:
        made = make(
            netplan_changes={"transport": "vxlan"},
            hosts=hosts_file(lab) | {"vmSizes": SIZES},
            resourceBridge={"vmSize": "Tiny"},
            clusters=[wanted],
            placement={"pins": PINS},
        )
        bring_image(lab.hosts, "kubernetes")
        yield made


def test_a_host_without_power_or_cable_comes_back_by_up(lab: Lab, project: Project) -> None:
    project.up(timeout=1800).expect()
    refused = project.drill("lose-host").expect(2)
    assert "etcd would have no quorum" in " ".join(refused.output.split()), "the only control plane is on node1"

    power = project.drill("lose-host", "--machine", WORKER, "--hold", "5").healed()
    assert power.result["host"] == "node2"
    assert WORKER in power.result["machines"]
    assert f"node2 of lab {lab.name} gets its power back" in power.output
    assert WORKER in running(lab.host("node2"))
    assert 5 < power.result["seconds"]["nodesReady"] <= power.result["seconds"]["healthy"]

    cable = project.drill("cut-cable", "--machine", WORKER, "--hold", "5").healed()
    assert f"node2 of lab {lab.name} gets its cable back" in cable.output
    assert 5 < cable.result["seconds"]["nodesReady"] <= cable.result["seconds"]["healthy"]
    project.up("--expect-no-changes").expect()
