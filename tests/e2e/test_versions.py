"""A cluster of each Kubernetes version that azlocal builds, beside one of the default, on one host."""

from __future__ import annotations

import pytest

from infra.image.build import build_node_image
from infra.model.versions import BUILT, DEFAULT, KubernetesVersion
from tests.cluster import Kubernetes, eventually, kubernetes, kubernetes_cluster
from tests.instance import MakeProject

pytestmark = [pytest.mark.e2e, pytest.mark.full]  # it compiles Kubernetes where its downloads can't be reached


def kubelets(cluster: Kubernetes) -> dict[str, str]:
    """Return each node's version, as its kubelet says it."""
    nodes = cluster.get("nodes")["items"]
    return {node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes}


@pytest.mark.parametrize("version", [one for one in BUILT if one != DEFAULT], ids=lambda one: one.version)
def test_clusters_of_two_versions_stand_side_by_side(
    version: KubernetesVersion, make_project: MakeProject
) -> None:
    build_node_image(print, version=version, vm_disk=False)
    other = kubernetes_cluster("b", kubernetesVersion=version.version)
    project = make_project(clusters=[kubernetes_cluster(), other])
    project.up(timeout=1500).expect()
    a, b = kubernetes(project, "a"), kubernetes(project, "b")
    assert kubelets(a) == dict.fromkeys((a.control_plane, a.worker), DEFAULT.tag)
    assert kubelets(b) == dict.fromkeys((b.control_plane, b.worker), version.tag)
    assert b.nodes() == {b.control_plane: True, b.worker: True}
    eventually(lambda: a.unfinished_pods() == b.unfinished_pods() == [], "every pod of both runs")
    project.up("--expect-no-changes").expect()
