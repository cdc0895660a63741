"""A worker whose host drains leaves its cluster, moves, and joins again; of a control plane preview tells how."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.kubernetes.api import ClusterApi
from infra.kubernetes.kubeconfig import select_cluster
from infra.lab.lab import Lab
from infra.lab.site import draining, netplan
from tests.instance import require_image
from tests.lab.instance import INSTANCE, bring_image, cluster, instances
from tests.project import Project

pytestmark = [pytest.mark.lab, pytest.mark.full]

SIZES = {"Node": {"vcpus": 2, "memoryGiB": 3, "diskGiB": 20}, "Tiny": {"vcpus": 1, "memoryGiB": 1, "diskGiB": 16}}
PINS = {"a-cp-0": "node1", "a-pool1-0": "node2"}


def hosts(lab: Lab, **drains: bool) -> dict[str, Any]:
    return draining(lab, **drains) | {"vmSizes": SIZES}


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Iterator[Project]:
    """Return a project whose cluster has its control plane on node1, and its worker on node2."""
    require_image("kubernetes")
    # The gateway's host is the way to the cluster, as the plan says (mesh-needs-route).
    prefix = netplan(lab)["logicalNetworks"][0]["addressPrefix"]
    subprocess.run(["ip", "route", "add", prefix, "via", str(lab.host("node1").address)], check=True)
    plane, pool = {"count": 1, "vmSize": "Node"}, {"name": "pool1", "count": 1, "vmSize": "Node"}
    wanted = cluster(1, provisioning="kubernetes", controlPlane=plane, agentPools=[pool])
    with instances(lab, tmp_path) as make:
        made = make(
            netplan_changes={"transport": "vxlan"},
            hosts=hosts(lab),
            resourceBridge={"vmSize": "Tiny"},
            clusters=[wanted],
            placement={"pins": PINS},
        )
        bring_image(lab.hosts, "kubernetes")
        yield made


def test_a_worker_leaves_its_cluster_moves_and_joins_again(lab: Lab, project: Project) -> None:
    project.up(timeout=1800).expect()
    before = nodes(project)
    worker = f"{INSTANCE}-a-pool1-0"
    assert set(before) == {f"{INSTANCE}-a-cp-0", worker}

    path = project.directory / "hosts/lab.yaml"
    path.write_text(yaml.safe_dump(hosts(lab, node1=True)))
    project.edit(placement={"pins": {}})
    said = project.pulumi("preview").expect().output
    assert f"{INSTANCE}-a-cp-0 moves to another host: another control plane joins at the cluster's spare" in said

    path.write_text(yaml.safe_dump(hosts(lab, node2=True)))
    said = project.pulumi("preview").expect().output
    assert f"{worker} moves to another host: cluster site-a drains and forgets it" in said
    said = project.up(timeout=1800).expect().output
    assert f"drain {worker}: its machine goes" in said
    after = nodes(project)
    assert {name for name in before if before[name] != after[name]} == {worker}
    assert project.outputs()["machines"][worker]["host"] == "node1"


def nodes(project: Project) -> dict[str, str]:
    """Return the UID of every node of the cluster."""
    text = project.pulumi("stack", "output", "kubeconfig", "--show-secrets").expect().output
    found = ClusterApi(select_cluster(text, f"{INSTANCE}-a")).items("/api/v1/nodes")
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}
