"""Whether a cluster can carry agents."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any

import pytest

from infra.arc.cluster_checks import ClusterFacts, cluster_problems
from infra.arc.model import AzureRbac, Features
from tests.arc.test_helm_values import wanted

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def node(name: str = "n", os: str = "linux", arch: str = "amd64", memory: str = "4Gi") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/os": os, "kubernetes.io/arch": arch}},
        "status": {"allocatable": {"memory": memory}, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def pod(memory: str, phase: str = "Running") -> dict[str, Any]:
    container = {"resources": {"requests": {"memory": memory}}}
    return {"spec": {"nodeName": "n", "containers": [container, {}]}, "status": {"phase": phase}}


def lease(minutes: float) -> dict[str, Any]:
    time = NOW + datetime.timedelta(minutes=minutes)
    return {"metadata": {"name": "n"}, "spec": {"renewTime": time.isoformat().replace("+00:00", "Z")}}


SOUND = ClusterFacts("1.36.0", True, [node()], [pod("1Gi")], [lease(0)], NOW)


def rules(facts: ClusterFacts, **more: Any) -> list[str]:
    return [one.rule for one in cluster_problems(facts, wanted(**more))]


def test_a_sound_cluster_has_no_problem() -> None:
    assert rules(SOUND) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"is_admin": False}, "cluster-admin"),
        ({"nodes": []}, "no-node"),
        ({"nodes": [node(os="windows")]}, "no-node"),
        ({"nodes": [node(arch="s390x")]}, "no-node"),
        ({"pods": [pod("3Gi"), pod("300Mi")]}, "memory"),
        ({"version": "1.30.2"}, "kubernetes-version"),
        ({"leases": [lease(7)]}, "node-clock"),
        ({"leases": [lease(-7)]}, "node-clock"),
    ],
)
def test_what_keeps_agents_away_is_found(change: dict[str, Any], rule: str) -> None:
    assert rules(dataclasses.replace(SOUND, **change)) == [rule]


def test_too_little_memory_is_told_in_numbers_with_what_becomes_of_agents() -> None:
    (found,) = cluster_problems(dataclasses.replace(SOUND, pods=[pod("3Gi"), pod("300Mi")]), wanted())
    assert re.search(r"pods may ask for \d+ MB more .* need about 850 MB", str(found))
    assert "free memory or add a node, else agents stay Pending" in str(found)


def test_pods_that_ended_ask_for_nothing() -> None:
    assert rules(dataclasses.replace(SOUND, pods=[pod("3800Mi", "Succeeded")])) == []


def test_azure_rbac_needs_a_node_that_is_not_arm() -> None:
    arm = dataclasses.replace(SOUND, nodes=[node(arch="arm64")])
    features = Features(azure_rbac=AzureRbac(True))
    assert rules(arm) == []
    assert rules(arm, features=features) == ["rbac-arm64"]
    both = dataclasses.replace(SOUND, nodes=[node(arch="arm64"), node("m")])
    assert rules(both, features=features) == []


def test_a_clock_that_nothing_tells_is_not_judged() -> None:
    assert rules(dataclasses.replace(SOUND, leases=[lease(60)], now=None)) == []
