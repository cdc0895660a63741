"""A connected cluster to the engine: what of it is secret, what a change of it does; an older state's, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
from pydantic import ValidationError

from infra.plugin.values import decode, encode
from infra.provider.kinds.arc_base import AzureSessions
from infra.provider.kinds.connected_cluster import ConnectedClusterKind
from infra.provider.servicer import Servicer
from infra.resources.connected_cluster import CONNECTED_CLUSTER, ConnectedClusterState
from infra.unknown import UNKNOWN
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation

URN = f"urn:pulumi:lab::azlocal::{CONNECTED_CLUSTER.token}::lab-a-connected-cluster"
PASSWORD = "S3cret-pw"
PROXY = {"httpsProxy": f"http://ann:{PASSWORD}@proxy.example:3128", "httpProxy": None, "noProxy": [".svc"]}
INPUTS = {
    "access": {"cloud": "AzureCloud"},
    "subscriptionId": "00000000-0000-0000-0000-000000000001",
    "resourceGroup": "lab",
    "name": "lab-a",
    "location": "eastus",
    "clusterUid": "uid",
    "kubeconfig": "k",
    "proxy": PROXY,
}


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def stub(log: MemoryLog) -> Iterator[Any]:
    kinds = {CONNECTED_CLUSTER.token: ConnectedClusterKind(AzureSessions())}
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = Servicer("0.1.0", kinds, lambda _: log, log)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(grace=None).wait()


def checked(stub: Any, **more: Any) -> Any:
    return stub.Check(provider_pb2.CheckRequest(urn=URN, news=encode(INPUTS | more)))


def standing(stub: Any, **more: Any) -> dict[str, Any]:
    """Return a state as azlocal 0.1.0 left it: the proxy in plain, nulls as the engine keeps them, left out."""
    inputs = decode(checked(stub).inputs).values
    state = ConnectedClusterState(**inputs, connectivity_status="Connected", public_key="PK").to_wire()
    state["proxy"] = {name: one for name, one in PROXY.items() if one is not None}
    return {name: one for name, one in state.items() if one is not None} | more


def test_the_proxy_is_secret_whatever_the_program_says(stub: Any) -> None:
    answer = checked(stub)
    assert not answer.failures
    assert "proxy" in decode(answer.inputs).secret
    made = stub.Create(provider_pb2.CreateRequest(urn=URN, properties=answer.inputs, preview=True))
    assert "proxy" in decode(made.properties).secret


def test_a_value_that_becomes_secret_changes_nothing_in_azure(stub: Any) -> None:
    answer = stub.Diff(
        provider_pb2.DiffRequest(urn=URN, id="x", olds=encode(standing(stub)), news=checked(stub).inputs)
    )
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert not answer.detailedDiff


def test_another_proxy_is_one_change_in_place_whose_path_leads_to_no_password(stub: Any) -> None:
    news = checked(stub, proxy={**PROXY, "httpsProxy": f"http://bob:{PASSWORD}@proxy.example:3128"}).inputs
    answer = stub.Diff(provider_pb2.DiffRequest(urn=URN, id="x", olds=encode(standing(stub)), news=news))
    assert {path: one.kind for path, one in answer.detailedDiff.items()} == {
        "proxy": provider_pb2.PropertyDiff.UPDATE
    }
    assert list(answer.replaces) == []
    assert PASSWORD not in json.dumps(json_format.MessageToDict(answer))


def test_a_wrong_proxy_is_named_and_not_repeated(stub: Any) -> None:
    for wrong in (f"http://ann:{PASSWORD}@p", {"httpsProxy": [PASSWORD]}, {f"http://ann:{PASSWORD}@p": None}):
        (failure,) = checked(stub, proxy=wrong).failures
        assert failure.property == ""
        assert failure.reason.startswith("proxy")
        assert PASSWORD not in failure.reason.partition(": ")[2]


def test_an_error_of_the_model_does_not_repeat_what_it_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        ConnectedClusterState.model_validate(INPUTS | {"proxy": f"http://ann:{PASSWORD}@p"})
    assert PASSWORD not in str(caught.value)


def changes(stub: Any, before: dict[str, Any], **after: Any) -> tuple[dict[str, int], list[str]]:
    """Return what a diff says: the kind of each change of a standing cluster, and what replaces it."""
    old = standing(stub, **before)
    news = checked(stub, **{name: one for name, one in before.items() if name in INPUTS} | after).inputs
    answer = stub.Diff(provider_pb2.DiffRequest(urn=URN, id="x", olds=encode(old), news=news))
    return {path: one.kind for path, one in answer.detailedDiff.items()}, list(answer.replaces)


OFF, ON = ({"enabled": one, "selfHostedIssuerUrl": None} for one in (False, True))
UPDATE, REPLACE = provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE


def test_an_issuer_that_is_switched_off_replaces_the_connection_and_is_announced(
    stub: Any, log: MemoryLog
) -> None:
    found = changes(stub, {"oidcIssuer": ON}, oidcIssuer=OFF)
    assert found == ({"oidcIssuer.enabled": REPLACE}, ["oidcIssuer.enabled"])
    (said,) = [text for level, text in log.lines if level == "info"]
    assert "Azure can't switch the OIDC issuer off; the cluster is connected again" in said


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ({"oidcIssuer": OFF}, {"oidcIssuer": ON}, {"oidcIssuer.enabled": UPDATE}),
        ({"oidcIssuer": ON}, {"oidcIssuer": ON}, {}),
        ({"location": "eastus"}, {"location": "East US"}, {}),
        ({}, {"name": "LAB-A", "resourceGroup": "LAB"}, {}),
        ({}, {"clusterConnect": False}, {"clusterConnect": UPDATE}),
        ({}, {"location": "westus"}, {"location": REPLACE}),
        ({}, {"name": "other"}, {"name": REPLACE}),
        ({}, {"infrastructure": "azure_stack_hci"}, {"infrastructure": REPLACE}),
        ({}, {"clusterUid": "another"}, {"clusterUid": REPLACE}),
        ({}, {"privateLinkScopeId": "/s"}, {"privateLinkScopeId": REPLACE}),
    ],
)
def test_what_azure_cannot_change_is_replaced_and_what_it_takes_for_the_same_is_left(
    stub: Any, log: MemoryLog, before: dict[str, Any], after: dict[str, Any], kinds: dict[str, int]
) -> None:
    assert changes(stub, before, **after)[0] == kinds
    assert not [text for level, text in log.lines if level == "info"]


def test_preview_leaves_open_which_issuer_azure_will_publish_and_keeps_one_that_stands(log: MemoryLog) -> None:
    kind = ConnectedClusterKind(AzureSessions())
    wanted = INPUTS | {"oidcIssuer": ON}
    stands = {"issuerUrl": "https://eastus.oic.example/t/1/"}
    assert kind.preview(operation(log=log), wanted, INPUTS) == {"issuerUrl": UNKNOWN}
    assert kind.preview(operation(log=log), wanted, INPUTS | stands) == {}
    assert kind.preview(operation(log=log), INPUTS, INPUTS) == {}
