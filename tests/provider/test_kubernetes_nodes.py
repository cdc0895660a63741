"""A node holds data: what may replace it, and what may not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kvm.errors import HostError
from infra.provider.kinds.kubernetes_nodes import refuse_other_cluster
from infra.resources.changes import Changes, Refused
from infra.resources.changes.machine import ALONE, Neighbours, decide
from infra.resources.contract import OnChange


def machine(role: str | None) -> dict[str, Any]:
    node = {"role": role, "cluster": "lab-a"} if role else None
    return {"name": "m", "machineType": "container", "connection": "lxc:///", "firstBoot": {"node": node}}


def changes(*paths: str, **updates: OnChange) -> Changes:
    return Changes(dict.fromkeys(paths, OnChange.REPLACE) | updates)


def told(role: str | None, difference: Changes, neighbours: Neighbours = ALONE) -> str:
    """Return what the user is told of a machine that differs so."""
    return "; ".join(decide(machine(role), machine(role), difference, neighbours))


@pytest.mark.parametrize("role", ["controlPlane", "worker"])
def test_a_newer_image_alone_replaces_no_node(role: str) -> None:
    found = changes("image", "seedDigest", vcpus=OnChange.UPDATE)
    assert "m stays on the node image" in told(role, found)
    assert found.by_path == {"vcpus": OnChange.UPDATE}


def test_a_plain_machine_gets_the_newer_image() -> None:
    found = changes("image")
    assert told(None, found) == ""
    assert found.replaces() == ["image"]


def test_a_control_plane_is_never_made_anew_and_the_reason_is_named() -> None:
    with pytest.raises(Refused, match=r"replaced for a change of firstBoot\.gateway, and cluster lab-a"):
        told("controlPlane", changes("firstBoot.gateway", "seedDigest"))


def test_a_worker_is_made_anew_and_the_loss_is_said() -> None:
    found = changes("firstBoot.gateway", "seedDigest")
    assert told("worker", found) == (
        "m is replaced for a change of firstBoot.gateway, drained, at its address; volumes on its disk stay, if "
        "it has a data volume"
    )
    assert found.replaces() == ["firstBoot.gateway", "seedDigest"]


@pytest.mark.parametrize("role", ["controlPlane", "worker"])
def test_a_newer_image_replaces_the_nodes_of_a_cluster_that_rolls_images(role: str) -> None:
    difference = changes("image", "seedDigest")
    text = told(role, difference, Neighbours(has_spare=True, rolls_images=True))
    assert "m is replaced for the current node image" in text
    assert difference.replaces() == ["image", "seedDigest"]


@pytest.mark.parametrize("path", ["image", "connection", "firstBoot.dnsServers[0]", "firstBoot.mtu"])
@pytest.mark.parametrize(
    ("neighbours", "way"),
    [
        (Neighbours(planes=3, rolls_images=True), "it leaves etcd and joins again from an empty disk"),
        (
            Neighbours(has_spare=True, rolls_images=True),
            "another control plane joins at the cluster",
        ),
    ],
    ids=["one of three", "the only one"],
)
def test_a_control_plane_is_replaced_where_others_hold_the_data(
    path: str, neighbours: Neighbours, way: str
) -> None:
    difference = changes(path)
    assert way in told("controlPlane", difference, neighbours)
    assert difference.replaces() == [path]


def test_the_only_control_plane_is_not_replaced_for_a_newer_image_where_nothing_can_stand_in() -> None:
    with pytest.raises(Refused, match="m would be replaced for the current node image"):
        told("controlPlane", changes("image"), Neighbours(rolls_images=True))


def test_a_worker_skips_a_minor_that_its_control_plane_passes() -> None:
    def of(role: str, version: str) -> dict[str, Any]:
        told = machine(role)
        told["firstBoot"]["node"]["version"] = version
        return told

    path = "firstBoot.node.version"
    (text,) = decide(of("worker", "1.32.9"), of("worker", "1.34.4"), changes(path))
    assert "m is replaced for Kubernetes 1.32.9 → 1.34.4, after the control planes" in text
    neighbours = Neighbours(has_spare=True)
    with pytest.raises(Refused, match="skipped-minor"):
        decide(of("controlPlane", "1.32.9"), of("controlPlane", "1.34.4"), changes(path), neighbours)
    with pytest.raises(Refused, match="downgrade"):
        decide(of("worker", "1.34.4"), of("worker", "1.33.5"), changes(path))


def test_what_replaces_nothing_says_nothing() -> None:
    assert told("controlPlane", changes(vcpus=OnChange.UPDATE)) == ""


def test_a_control_plane_does_not_move_and_the_ways_out_are_named() -> None:
    with pytest.raises(Refused, match=r"m would move to another host.*pin it to that host.*remove it from"):
        told("controlPlane", changes("connection", "seedDigest"))


def test_a_worker_leaves_its_cluster_before_it_moves() -> None:
    found = changes("connection", "image")
    assert "cluster lab-a drains and forgets it, then it is re-created there" in told("worker", found)
    assert "connection" in found.replaces()


@pytest.mark.parametrize("wanted", [{"caHash": "sha256:b"}, None], ids=["another cluster's", "no node"])
def test_a_standing_control_plane_of_another_authority_is_never_made_anew(wanted: dict[str, Any] | None) -> None:
    standing = {"node": {"role": "controlPlane", "cluster": "lab-a", "caHash": "sha256:a"}}
    with pytest.raises(
        HostError, match=r"m stands already, as a control plane of cluster lab-a .*virsh undefine m"
    ):
        refuse_other_cluster(standing, "m", wanted)


@pytest.mark.parametrize("found", [{}, {"node": None}, {"node": {"role": "worker", "caHash": "sha256:a"}}])
def test_what_holds_no_cluster_is_made_anew(found: dict[str, Any]) -> None:
    refuse_other_cluster(found, "m", {"caHash": "sha256:b"})


def test_the_same_clusters_control_plane_of_a_killed_run_is_made_anew() -> None:
    refuse_other_cluster({"node": {"role": "controlPlane", "caHash": "sha256:a"}}, "m", {"caHash": "sha256:a"})
