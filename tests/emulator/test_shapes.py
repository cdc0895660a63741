"""Azure's shapes, as they are read from the installed packages."""

from __future__ import annotations

import pytest

from infra.emulator.http import Refusal
from infra.emulator.shapes import (
    Choice,
    ListOf,
    MapOf,
    Object,
    Scalar,
    check_request,
    shape_of,
)
from tests.emulator.responses import faults_of_response

CLUSTER = ("azure.mgmt.hybridkubernetes.models", "ConnectedCluster")
EXTENSION = ("azure.mgmt.kubernetesconfiguration.extensions.models", "Extension")
FLUX = ("azure.mgmt.kubernetesconfiguration.fluxconfigurations.models", "FluxConfiguration")
LOCATION = ("azure.mgmt.extendedlocation.models", "CustomLocation")  # an older generation of models


def inner(shape: Object, *path: str) -> Object:
    for name in path:
        found = shape.fields[name].shape
        assert isinstance(found, Object)
        shape = found
    return shape


def test_reads_what_azure_publishes() -> None:
    cluster = shape_of(*CLUSTER)
    assert cluster.fields["id"].read_only
    assert cluster.fields["location"].required
    assert cluster.fields["tags"].shape == MapOf(Scalar("string"))
    properties = inner(cluster, "properties").fields
    assert properties["agentPublicKeyCertificate"].required
    assert properties["connectivityStatus"].read_only
    status = properties["connectivityStatus"].shape
    assert isinstance(status, Choice)
    assert {"Connecting", "Connected", "Offline", "Expired", "AgentNotInstalled"} <= set(status.words)
    kustomizations = inner(shape_of(*FLUX), "properties").fields["kustomizations"].shape
    assert isinstance(kustomizations, MapOf)
    location = inner(shape_of(*LOCATION), "properties").fields
    assert location["clusterExtensionIds"].shape == ListOf(Scalar("string"))


def test_model_that_contains_itself_ends() -> None:
    error = inner(shape_of(*EXTENSION), "properties", "errorInfo")
    assert error.fields["details"].shape == ListOf(Scalar("any"))


def test_request_loses_what_only_azure_writes() -> None:
    body = {
        "ID": "/x",
        "Location": "eastus",
        "identity": {"type": "systemassigned", "principalId": "x"},
        "properties": {"agentpublickeycertificate": "", "connectivityStatus": "Connected", "distribution": None},
    }
    assert check_request(shape_of(*CLUSTER), body) == {
        "location": "eastus",
        "identity": {"type": "SystemAssigned"},
        "properties": {"agentPublicKeyCertificate": "", "distribution": None},
    }


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"extensionType": 1}, "properties.extensionType"),
        ({"autoUpgradeMinorVersion": "true"}, "properties.autoUpgradeMinorVersion"),
        ({"scope": {"cluster": []}}, "properties.scope.cluster"),
        ({"configurationSettings": {"a": {"b": "c"}}}, "properties.configurationSettings.a"),
        ({"configurationProtectedSettings": {"a": 1}}, "properties.configurationProtectedSettings.a"),
        ({"extensiontypo": "x"}, "properties.extensiontypo"),
    ],
)
def test_fault_names_its_place_and_never_the_value(properties: dict[str, object], named: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_request(shape_of(*EXTENSION), {"properties": properties})
    assert refused.value.code == "InvalidRequestContent"
    assert f"Path '{named}'" in refused.value.message


def test_response_has_only_what_azure_knows() -> None:
    shape = shape_of(*EXTENSION)
    sound = {"id": "/x", "properties": {"provisioningState": "Succeeded", "statuses": [{"time": "x"}]}}
    assert faults_of_response(shape, sound) == []
    wrong = {"id": 1, "extra": 1, "properties": {"provisioningState": "Done", "statuses": {}}}
    assert len(faults_of_response(shape, wrong)) == 4
