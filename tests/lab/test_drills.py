"""A lab's host loses its power, then its cable, under a real cluster of three control planes: as drills.

Minutes of two processors, for three nodes of Kubernetes on three hosts: a test that is marked full.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.lab import Lab
from infra.lab.site import hosts_file, netplan
from tests.instance import require_image
from tests.lab.conftest import MakeLab
from tests.lab.instance import INSTANCE, bring_image, cluster, instances, running
from tests.project import Project

pytestmark = [pytest.mark.lab, pytest.mark.full]

SIZES = {"Node": {"vcpus": 2, "memoryGiB": 3, "diskGiB": 20}, "Tiny": {"vcpus": 1, "memoryGiB": 1, "diskGiB": 16}}
PINS = {"a-cp-0": "node1", "a-cp-1": "node2", "a-cp-2": "node3", "a-pool1-0": "node1"}


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab(3)


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Iterator[Project]:
    """Return a project whose cluster has a control plane on each host; clients' way to it is by node1."""
    require_image("kubernetes")
    prefix = netplan(lab)["logicalNetworks"][0]["addressPrefix"]
    subprocess.run(["ip", "route", "add", prefix, "via", str(lab.host("node1").address)], check=True)
    planes, pool = {"count": 3, "vmSize": "Node"}, {"name": "pool1", "count": 1, "vmSize": "Node"}
    wanted = cluster(1, provisioning="kubernetes", controlPlane=planes, agentPools=[pool], timeoutMinutes=20)
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
    project.up(timeout=2400).expect()
    plane = f"{INSTANCE}-a-cp-1"

    power = project.drill("lose-host", "--machine", plane, "--hold", "20").healed()
    assert (power.result["host"], power.result["machines"]) == ("node2", [plane])
    assert f"node2 of lab {lab.name} gets its power back" in power.output
    assert plane in running(lab.host("node2"))
    assert 20 < power.result["seconds"]["nodesReady"] <= power.result["seconds"]["healthy"]

    cable = project.drill("cut-cable", "--machine", plane, "--hold", "20").healed()
    assert f"node2 of lab {lab.name} gets its cable back" in cable.output
    assert 20 < cable.result["seconds"]["nodesReady"] <= cable.result["seconds"]["healthy"]
    project.up("--expect-no-changes").expect()
