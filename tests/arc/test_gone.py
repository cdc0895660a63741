"""What Azure has no more, or the emulator whose store is another's, is gone: refresh says so, and down ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.emulator import daemon
from infra.plugin.operation import Operation
from infra.provider.kind import Kind
from infra.provider.kinds.arc_base import AzureSessions
from infra.provider.kinds.arc_registration import ArcRegistrationKind
from infra.provider.kinds.connected_cluster import ConnectedClusterKind
from infra.provider.kinds.custom_location import CustomLocationKind
from infra.provider.kinds.data_collection import DataCollectionKind
from infra.provider.kinds.extension import ExtensionKind
from infra.provider.kinds.flux_configuration import FluxConfigurationKind
from infra.resources.azure_access import AzureAccess
from tests.provider.conftest import MemoryLog

GROUP = "lab-rg"
WORKSPACE = "/subscriptions/s/resourceGroups/r/providers/Microsoft.OperationalInsights/workspaces/w"
KINDS: dict[str, Callable[[AzureSessions], Kind[Any, Any]]] = {
    "ArcRegistration": ArcRegistrationKind,
    "ConnectedCluster": ConnectedClusterKind,
    "CustomLocation": CustomLocationKind,
    "DataCollection": DataCollectionKind,
    "Extension": ExtensionKind,
    "FluxConfiguration": FluxConfigurationKind,
}
"""Every kind whose object is Azure's."""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon.Emulator]:
    folder = tmp_path_factory.mktemp("emulator") / "lab"
    daemon.initialise(folder)
    yield daemon.ensure_running(folder)
    daemon.remove(folder)


@pytest.fixture(scope="module")
def replaced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[daemon.Emulator]:
    """An emulator as a state knows it, in whose place another one has come since."""
    folder = tmp_path_factory.mktemp("replaced") / "lab"
    daemon.initialise(folder)
    known = daemon.ensure_running(folder)
    daemon.remove(folder)
    assert daemon.ensure_running(folder).settings.subscription_id != known.settings.subscription_id
    yield known
    daemon.remove(folder)


def stands(kind: str, emulator: daemon.Emulator) -> tuple[str, Any]:
    """Return id and state of an object that was made, and is no more."""
    settings, folder = emulator.settings, emulator.folder
    access = AzureAccess(cloud="emulator", tenant_id=settings.tenant_id, emulator_folder=str(folder))
    group = f"/subscriptions/{settings.subscription_id}/resourceGroups/{GROUP}"
    cluster = f"{group}/providers/Microsoft.Kubernetes/connectedClusters/a"
    of_cluster = {"access": access, "cluster_id": cluster, "connection": "PK", "name": "one"}
    of_group = {
        "access": access,
        "subscription_id": settings.subscription_id,
        "resource_group": GROUP,
        "name": "a",
        "location": "eastus",
    }
    below = f"{cluster}/providers/Microsoft.KubernetesConfiguration"
    state = KINDS[kind](AzureSessions()).contract.state
    found: dict[str, tuple[str, dict[str, Any]]] = {
        "ArcRegistration": ("lab/a", of_group | {"ca_hash": "sha256:1"}),
        "ConnectedCluster": (
            cluster,
            of_group
            | {"cluster_uid": "u", "kubeconfig": "", "connectivity_status": "Connected", "public_key": "PK"},
        ),
        "CustomLocation": (
            f"{group}/providers/Microsoft.ExtendedLocation/customLocations/a",
            of_group
            | {"cluster_id": cluster, "connection": "PK", "namespace": "n", "display_name": "a"}
            | {"provisioning_state": "Succeeded"},
        ),
        "DataCollection": (
            f"{cluster}/providers/Microsoft.Insights/dataCollectionRuleAssociations/one",
            of_cluster
            | {"collects": "logs", "workspace_id": WORKSPACE}
            | {"rule_id": f"{group}/providers/Microsoft.Insights/dataCollectionRules/one"},
        ),
        "Extension": (f"{below}/extensions/one", of_cluster | {"extension_type": "t", "provisioning_state": "S"}),
        "FluxConfiguration": (
            f"{below}/fluxConfigurations/one",
            of_cluster | {"git_repository": {"url": "https://git.example/r"}, "provisioning_state": "S"},
        ),
    }
    id, values = found[kind]
    if kind == "ArcRegistration":
        del values["location"]
    return id, state(**values)


def operation() -> Operation:
    return Operation("urn:pulumi:lab::azlocal::x::y", MemoryLog(), threading.Event())


@pytest.mark.parametrize("kind", [one for one in KINDS if one != "ArcRegistration"])  # which only deletes
@pytest.mark.parametrize("azure", ["emulator", "replaced"])
def test_what_is_gone_is_forgotten_by_refresh(kind: str, azure: str, request: pytest.FixtureRequest) -> None:
    id, state = stands(kind, request.getfixturevalue(azure))
    assert KINDS[kind](AzureSessions()).read(operation(), id, state) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("azure", ["emulator", "replaced"])
def test_what_is_gone_stops_no_removal(kind: str, azure: str, request: pytest.FixtureRequest) -> None:
    id, state = stands(kind, request.getfixturevalue(azure))
    KINDS[kind](AzureSessions()).delete(operation(), id, state)
