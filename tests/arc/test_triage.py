"""Why agents don't come: each cause with its own remedy (facts §1.15, §9)."""

from __future__ import annotations

from typing import Any

import pytest

from infra.arc.triage import find_cause
from infra.kubernetes.health import Snapshot


def pod(
    name: str, *, ready: bool = False, waiting: dict[str, str] | None = None, scheduled: str = ""
) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": "Pending", "conditions": []}
    if scheduled:
        status["conditions"] = [{"type": "PodScheduled", "status": "False", "message": scheduled}]
    else:
        container = {
            "name": "c",
            "image": "mcr/x:1",
            "ready": ready,
            "state": {"waiting": waiting} if waiting else {},
        }
        status["containerStatuses"] = [container]
    return {"metadata": {"name": name, "namespace": "azure-arc", "uid": name}, "status": status}


def event(reason: str, message: str) -> dict[str, Any]:
    return {"reason": reason, "message": message, "involvedObject": {"uid": "x"}}


def look(*pods: dict[str, Any], events: list[dict[str, Any]] | None = None) -> Snapshot:
    return Snapshot(nodes=[], pods=pods, events=events or [])


OPERATOR = pod("clusteridentityoperator-1", waiting={"reason": "CrashLoopBackOff"})


@pytest.mark.parametrize(
    ("snapshot", "words", "rule", "remedy"),
    [
        (
            look(pod("a", waiting={"reason": "ImagePullBackOff", "message": "no route"})),
            "",
            "agents-image-pull",
            "registry",
        ),
        (look(pod("a", scheduled="0/3 nodes: Insufficient memory")), "", "agents-unschedulable", "850 MB"),
        (
            look(events=[event("FailedCreate", "unable to validate against any security context constraint")]),
            "",
            "agents-forbidden",
            "oc adm policy",
        ),
        (look(events=[event("FailedCreate", "exceeded quota: x")]), "", "agents-forbidden", "quota"),
        (
            look(events=[event("FailedMount", 'secret "kube-aad-proxy-certificate" not found')]),
            "",
            "agents-proxy-certificate",
            "OpenShift",
        ),
        (
            look(
                pod("kube-aad-proxy-1"),
                events=[event("FailedMount", 'secret "azure-identity-certificate" not found')],
            ),
            "",
            "agents-identity",
            "identity service",
        ),
        (look(OPERATOR), "failing to parse PEM block", "agents-key", "connect it again"),
        (look(OPERATOR), "HTTP 401: signature does not match", "agents-identity", "key"),
        (look(OPERATOR), "dial tcp: lookup gbl.his.arc.azure.com: no such host", "agents-endpoints", "arc check"),
        (look(pod("config-agent-1")), "i/o timeout", "agents-endpoints", "arc check"),
    ],
)
def test_a_cause_is_found_with_its_remedy(snapshot: Snapshot, words: str, rule: str, remedy: str) -> None:
    cause = find_cause(snapshot, lambda _: words)
    assert cause is not None
    assert cause.rule == rule
    assert remedy in cause.remedy


def test_agents_that_only_wait_for_the_identity_are_not_the_cause() -> None:
    snapshot = look(pod("kube-aad-proxy-1"), OPERATOR)
    words = {"clusteridentityoperator-1": "failing to parse PEM block", "kube-aad-proxy-1": "i/o timeout"}
    cause = find_cause(snapshot, words.__getitem__)
    assert cause is not None
    assert cause.rule == "agents-key"


def test_nothing_is_made_up() -> None:
    assert find_cause(look(pod("a", ready=True)), lambda _: "") is None
    assert find_cause(look(pod("a")), lambda _: "working on it") is None
