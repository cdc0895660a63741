"""The unmodified Azure SDKs where things go wrong: credentials, throttling, conflicts, operations that fail."""

from __future__ import annotations

import time

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.mgmt.resource.resources import ResourceManagementClient

from tests.emulator.azure_sdk import Azure, cluster_body, code_of

CANARY = "c4nary-of-a-secret"


def test_wrong_credentials_are_told_as_entra_does(azure: Azure) -> None:
    scope = "https://management.azure.com/.default"
    for wrong, code in (
        ({"client_secret": CANARY}, "AADSTS7000215"),
        ({"client_id": "00000000-0000-0000-0000-00000000abcd"}, "AADSTS700016"),
    ):
        with pytest.raises(ClientAuthenticationError) as error:
            azure.credential_with(**wrong).get_token(scope)
        assert code in str(error.value)
        assert CANARY not in str(error.value)
    with pytest.raises(ClientAuthenticationError, match="AADSTS500011"):
        azure.credential.get_token("https://nothing.example/.default")


def test_token_for_another_audience_doesnt_open_arm(azure: Azure) -> None:
    graph = ResourceManagementClient
    client = azure.client(graph, credential_scopes=["https://graph.microsoft.com/.default"])
    with pytest.raises(ClientAuthenticationError) as error:
        list(client.resource_groups.list())
    assert code_of(error.value) == "InvalidAuthenticationTokenAudience"


def test_throttling_is_waited_for_as_it_says(azure: Azure, group: str, waits: list[float]) -> None:
    azure.admin.plant(
        kind="throttle", operation="Microsoft.Kubernetes/connectedClusters/read", retryAfter=2, count=1
    )
    with pytest.raises(ResourceNotFoundError):
        azure.clusters.get(group, "a")
    assert waits == [2]
    assert [status for _, url, status in azure.requests if "connectedClusters" in url] == [429, 404]


def test_server_error_is_retried(azure: Azure, group: str) -> None:
    azure.admin.plant(kind="status", statusCode=503, code="ServiceUnavailable", method="PUT", count=2)
    azure.requests.clear()
    azure.connect(group, "a")
    assert [status for method, _, status in azure.requests if method == "PUT"] == [503, 503, 201]


def test_conflict_that_was_asked_for(azure: Azure, group: str) -> None:
    azure.admin.plant(
        kind="status", statusCode=409, code="Conflict", message="somebody else", method="DELETE", count=1
    )
    azure.connect(group, "a")
    with pytest.raises(ResourceExistsError, match="somebody else"):
        azure.clusters.begin_delete(group, "a", polling=False)
    azure.clusters.begin_delete(group, "a").result()


def test_slow_and_failed_operations(azure: Azure, group: str, waits: list[float]) -> None:
    azure.admin.plant(kind="slowOperation", operation="*/connectedClusters/write", seconds=3, count=1)
    azure.admin.plant(kind="failOperation", path="/failed$", code="Boom", message="it broke", count=1)
    started = azure.admin.clock()["offsetSeconds"]
    slow = azure.clusters.begin_create_or_replace(group, "slow", cluster_body())
    failing = azure.clusters.begin_create_or_replace(group, "failed", cluster_body())
    with pytest.raises(HttpResponseError, match="it broke") as error:
        failing.result()
    assert code_of(error.value) == "Boom"
    assert azure.clusters.get(group, "failed").properties.provisioning_state == "Failed"
    assert azure.connect(group, "failed").properties.provisioning_state == "Succeeded"
    slow.result()
    assert azure.admin.clock()["offsetSeconds"] - started >= 2.5
    assert set(waits) == {1}, "as Azure says"
    assert {status for method, _, status in azure.requests if method == "GET"} == {200}


def test_slow_answer(azure: Azure, group: str) -> None:
    azure.admin.plant(kind="slow", method="GET", path=group, seconds=0.4, count=1)
    started = time.monotonic()
    list(azure.clusters.list_by_resource_group(group))
    assert time.monotonic() - started >= 0.4
