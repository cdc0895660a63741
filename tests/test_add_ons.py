"""Which add-ons a cluster gets."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from infra.components.node_image import BundleFiles
from infra.components.storage import IS_DEFAULT, node_path_map, storage_classes
from infra.image.bundle import Bundle
from infra.model.add_ons import add_on_namespaces
from infra.plan.instance import plan_instance
from infra.plan.topology import Cluster, build_topology
from tests.emulator.agents_side import BUNDLE
from tests.instances import cluster, make_spec
from tests.taking import declared


def cluster_of(*classes: dict[str, Any], **add_ons: Any) -> Cluster:
    profile = {"storageClasses": list(classes)}
    spec = make_spec(cluster(addOns=add_ons, storageProfile=profile, loadBalancer={"count": 2}))
    (found,) = build_topology(spec, plan_instance(spec)).clusters
    return found


def add_ons_of(wanted: Cluster) -> tuple[set[str], Any]:
    """Return the names of what is declared, and the component."""
    from infra.components.add_ons import AddOns

    charts = dict.fromkeys(("calico", "metallb", "local-path-provisioner"), BUNDLE.folder)
    bundle = BundleFiles(Bundle("modules", "0" * 64, "1.34.4", BUNDLE.folder, {"busybox": "x/busybox:1"}, charts))
    made: list[AddOns] = []

    def program() -> None:
        made.append(
            AddOns(
                "lab-a",
                wanted,
                bundle,
                lambda parent: pulumi.ResourceOptions(parent=parent),
                pulumi.ResourceOptions(),
            )
        )

    return set(declared(program)), made[0]


def test_every_cluster_gets_all_of_them() -> None:
    names, add_ons = add_ons_of(cluster_of())
    assert {"lab-a-calico", "lab-a-metallb", "lab-a-metallb-namespace", "lab-a-local-path-provisioner"} <= names
    # In this order the cluster's resource has had them since 0.1.0: another one were a change.
    assert add_on_namespaces(add_ons.releases) == ("kube-system", "metallb-system", "local-path-storage")
    assert list(add_ons.releases) == ["calico", "metallb", "local-path-provisioner"]
    assert [dict(one) for one in add_ons.generated_secrets] == [
        {"namespace": "metallb-system", "name": "metallb-memberlist", "key": "secretkey"}
    ]


def test_a_declared_class_can_be_the_default_in_a_folder_and_pools_of_its_own() -> None:
    databases = {
        "name": "databases",
        "isDefault": True,
        "reclaimPolicy": "Retain",
        "folder": "db",
        "agentPools": ["nodepool1"],
    }
    wanted = cluster_of(databases)
    top = "/opt/local-path-provisioner"
    first, retain, own = storage_classes(wanted.storage_classes, {})
    assert [one.annotations.get(IS_DEFAULT) for one in (first, retain, own)] == ["false", None, "true"]
    assert [one.parameters for one in (first, retain, own)] == [
        {"nodePath": top},
        {"nodePath": top},
        {"nodePath": f"{top}/db"},
    ], "of several paths the provisioner would draw one"
    assert (own.reclaim_policy, own.pools) == ("Retain", ("nodepool1",))
    names, _ = add_ons_of(wanted)
    assert {"lab-a-default", "lab-a-default-retain", "lab-a-databases"} <= names


def test_without_folders_classes_stay_as_they_were() -> None:
    first, retain = storage_classes((), {})
    assert (first.name, first.reclaim_policy, first.annotations) == ("default", "Delete", {IS_DEFAULT: "true"})
    assert (retain.name, retain.reclaim_policy, retain.annotations) == ("default-retain", "Retain", {})
    assert first.parameters is retain.parameters is None, "another parameter would replace the class"


def test_peoples_own_values_of_the_charts_class_still_count() -> None:
    own = {"name": "disk", "reclaimPolicy": "Retain", "defaultClass": False, "pathPattern": "{{ .PVName }}"}
    first, _ = storage_classes((), {"storageClass": own})
    assert (first.name, first.reclaim_policy, first.annotations) == ("disk", "Retain", {IS_DEFAULT: "false"})
    assert first.parameters == {"pathPattern": "{{ .PVName }}"}
    assert [one.name for one in storage_classes((), {"storageClass": {"create": False}})] == ["default-retain"]


def test_no_volume_is_made_on_the_machine_that_only_stands_in() -> None:
    wanted = cluster_of()
    everywhere, spare = node_path_map(wanted.storage_classes, wanted.spare.name)
    assert everywhere["paths"] == ["/opt/local-path-provisioner"]
    assert spare == {"node": wanted.spare.name, "paths": []}


def test_metallb_can_be_left_out() -> None:
    wanted = cluster_of(metallb={"enabled": False})
    assert wanted.load_balancer_ranges, "the addresses stay planned"
    names, add_ons = add_ons_of(wanted)
    assert not [name for name in names if "metallb" in name]
    assert add_on_namespaces(wanted.add_on_values) == ("kube-system", "local-path-storage")
    assert list(add_ons.releases) == ["calico", "local-path-provisioner"]
    assert add_ons.generated_secrets == ()


@pytest.mark.parametrize("add_on", ["calico", "localPathProvisioner"])
def test_no_cluster_does_without_the_others(add_on: str) -> None:
    with pytest.raises(ValueError, match="enabled"):
        cluster_of(**{add_on: {"enabled": False}})


def test_the_provisioner_runs_on_kubelets_that_are_older_than_the_api_server() -> None:
    """One of 1.32 runs no pod that says anything of `hostUsers`, which a server of 1.33 lets through."""
    from infra.components.add_ons import storage_values

    assert storage_values("x/busybox:1")["hostUsers"] == "", "the chart's own `true` isn't written"
