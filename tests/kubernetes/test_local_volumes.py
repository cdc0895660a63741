"""Which volumes are on the disk of which node."""

from __future__ import annotations

from typing import Any

from infra.kubernetes.local_volumes import LocalVolume, local_volumes_of

FOLDER = "/opt/local-path-provisioner"


def affinity(*nodes: str, key: str = "kubernetes.io/hostname") -> dict[str, Any]:
    expression = {"key": key, "operator": "In", "values": list(nodes)}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def volume(name: str, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Delete", **spec},
    }


def test_a_volume_is_on_the_node_that_its_affinity_or_the_provisioner_names() -> None:
    listed = local_volumes_of(
        [
            volume("b", local={"path": "/mnt/b"}, nodeAffinity=affinity("n1", "n2")),
            volume(
                "a",
                {"local.path.provisioner/selected-node": "n1"},
                hostPath={"path": f"{FOLDER}/a"},
                nodeAffinity=affinity("rack-1", key="example.com/rack"),
                claimRef={"namespace": "default", "name": "data"},
            ),
        ]
    )
    assert [(one.name, one.nodes, one.is_on_data_volume) for one in listed] == [
        ("a", frozenset({"n1"}), True),
        ("b", frozenset({"n1", "n2"}), False),
    ]
    assert [str(one) for one in listed] == ["a (claim default/data, 1Gi, Delete)", "b (no claim, 1Gi, Delete)"]


def test_what_is_on_no_nodes_disk_or_on_nobody_knows_whose_does_not_count() -> None:
    listed = [
        volume("network", nfs={"server": "s", "path": "/"}, nodeAffinity=affinity("n1")),
        volume("everywhere", hostPath={"path": "/srv"}),
        volume("attached", csi={"driver": "d"}, nodeAffinity=affinity("n1")),
    ]
    assert local_volumes_of(listed) == []


def test_only_what_is_below_the_data_volumes_folder_is_on_it() -> None:
    def is_there(path: str) -> bool:
        return LocalVolume("v", frozenset({"n"}), path, "1Gi", "Delete").is_on_data_volume

    assert is_there(f"{FOLDER}/fast/pvc-1")
    assert not is_there(f"{FOLDER}-old/pvc-1")
