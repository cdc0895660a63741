"""What is said of a connection, and when (facts §3)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from infra.arc.observation import read, warnings_of

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def body(status: str = "Connected", contact: float = 0, left: float | None = 80, **more: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "connectivityStatus": status,
        "provisioningState": "Succeeded",
        "agentVersion": "1.36.1",
        "totalNodeCount": 3,
        "lastConnectivityTime": (NOW - contact * DAY).isoformat().replace("+00:00", "Z"),
        **more,
    }
    if left is not None:
        properties["managedIdentityCertificateExpirationTime"] = (NOW + left * DAY).isoformat()
    return {
        "id": "/x",
        "location": "eastus",
        "identity": {"principalId": "p", "tenantId": "t"},
        "properties": properties,
    }


def said(content: dict[str, Any]) -> str:
    return "; ".join(warnings_of(read(content), NOW))


def test_a_connected_cluster_gives_no_warning() -> None:
    found = read(body())
    assert (found.connectivity_status, found.node_count, found.principal_id) == ("Connected", 3, "p")
    assert found.last_connectivity == NOW
    assert said(body()) == ""


def test_an_answer_with_little_in_it_is_read() -> None:
    found = read({"id": "/x", "properties": None})
    assert (found.connectivity_status, found.certificate_expires, found.node_count) == ("", None, 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (body("Offline", 0.02), "Offline: Azure hasn't heard of its agents since 2026-11-21"),
        (body("Connecting", left=None), "Connecting"),
        (body("AgentNotInstalled", left=None), "no agents yet"),
        (body("Expired", 91, -1), "connect it again"),
        (body("Offline", 24), "until 2026-11-27"),
        (body("Offline", 31), "no contact for 31 days"),
        (body("Offline", 40, 43), "agents renew it from day 46"),
        (body("Connected", 0, 25), "hasn't worked"),
        (body("Offline", 89, 1), "in 1 day,"),
        (body("Offline", 89, -1), "ran out"),
        (body(provisioningState="Failed"), "provisioningState Failed"),
        (body(arcAgentProfile={"agentErrors": [{"component": "guard", "message": "no"}]}), "guard: no"),
    ],
)
def test_what_bites_soon_is_said_before(content: dict[str, Any], expected: str) -> None:
    assert expected in said(content)


def test_a_renewal_that_is_due_and_can_work_is_nothing_to_worry_about() -> None:
    assert said(body("Connected", 0, 40)) == ""


def test_an_expired_connection_is_told_once() -> None:
    assert len(list(warnings_of(read(body("Expired", 91, -1)), NOW))) == 1
