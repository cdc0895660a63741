"""What goes wrong with what stands on a connected cluster, as the Pulumi kinds say it (facts §9: 16-18, 26, 31).

The emulator stands in for Azure; this file speaks for the agents.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from infra.arc.azure import Azure
from infra.arc.bodies import cluster_body
from infra.arc.errors import ArmError
from infra.arc.keys import make_key_pair
from infra.plugin.operation import Operation
from infra.provider.kind import InitFailed
from infra.provider.kinds.arc_base import AzureSessions
from infra.provider.kinds.custom_location import CustomLocationKind
from infra.provider.kinds.extension import ExtensionKind
from infra.resources.azure_access import AzureAccess
from infra.resources.custom_location import CustomLocationInputs
from infra.resources.extension import ExtensionInputs, ExtensionState
from tests.arc.living import GROUP, Lab
from tests.emulator.azure_sdk import Agents
from tests.provider.conftest import MemoryLog
from tests.waiting import eventually

pytestmark = pytest.mark.engine

KEY = make_key_pair().public
UNSCHEDULED = "release azurepolicy failed: context deadline exceeded"
NO_SUCH_CHART = 'failed to perform "FetchReference" on source: mcr.microsoft.com/charts/akv:9.9.9: not found'


@dataclass
class Cluster:
    """A connected cluster whose agents this file plays."""

    lab: Lab
    id: str
    sessions: AzureSessions = field(default_factory=AzureSessions)

    @property
    def access(self) -> AzureAccess:
        return AzureAccess(cloud="emulator", emulator_folder=str(self.lab.folder))

    def extension(self, name: str, cluster_id: str = "", version: str | None = None) -> ExtensionInputs:
        return ExtensionInputs(
            access=self.access,
            cluster_id=cluster_id or self.id,
            connection=KEY,
            name=name,
            extension_type="microsoft.policyinsights",
            version=version,
        )

    def install(self, wanted: ExtensionInputs) -> None:
        ExtensionKind(self.sessions).create(operation(), wanted)

    def fails(self, wanted: ExtensionInputs, why: str) -> InitFailed[ExtensionState]:
        """Return what the kind raises where the agents report that an extension failed."""
        agents = Agents(self.lab.folder)
        with ThreadPoolExecutor(1) as pool, pytest.raises(InitFailed) as caught:
            done = pool.submit(self.install, wanted)
            eventually(lambda: wanted.name in agents.desired(self.id), "it is wanted")
            said = {"code": "InstallationFailed", "displayStatus": None, "level": "Error", "message": why}
            shown = {"statuses": [said], "errorInfo": {"code": "ExtensionCreationFailed", "message": why}}
            agents.report(
                self.id,
                wanted.name,
                "Failed",
                properties=shown,
                error_code="ExtensionCreationFailed",
                error_message=why,
            )
            done.result(30)
        return caught.value

    def offer(self, *extensions: str) -> None:
        location = CustomLocationInputs(
            access=self.access,
            subscription_id=self.lab.scope.subscription_id,
            resource_group=GROUP,
            name="here",
            location="eastus",
            cluster_id=self.id,
            connection=KEY,
            namespace="apps",
            extension_ids=[
                f"{self.id}/providers/Microsoft.KubernetesConfiguration/extensions/{x}" for x in extensions
            ],
            display_name="here",
        )
        CustomLocationKind(self.sessions).create(operation(), location)


def operation() -> Operation:
    return Operation("urn:pulumi:local::azlocal::azlocal:index:X::x", MemoryLog(), threading.Event(), timeout=60)


@pytest.fixture(scope="module")
def azure(emulated_lab: Lab) -> Iterator[Azure]:
    with emulated_lab.azure() as found:
        found.ensure_resource_group("eastus", {})
        yield found


@pytest.fixture
def cluster(azure: Azure, emulated_lab: Lab) -> Iterator[Cluster]:
    made = azure.put_cluster("a", cluster_body(emulated_lab.wanted(), KEY), work=emulated_lab.work())
    Agents(emulated_lab.folder).beat(str(made["id"]))
    yield Cluster(emulated_lab, str(made["id"]))
    emulated_lab.admin("DELETE", "faults")
    azure.delete_cluster("a", work=emulated_lab.work())


def test_an_extension_whose_pods_do_not_run_is_told_with_where_to_look(azure: Azure, cluster: Cluster) -> None:
    failed = cluster.fails(cluster.extension("azurepolicy"), UNSCHEDULED)
    text = str(failed)
    assert "extension azurepolicy isn't installed" in text
    assert UNSCHEDULED in text
    assert "pods (not scheduled? image not pulled?)" in text
    assert "azlocal arc status" in text
    assert "invalid status" not in text
    shown = azure.get_extension("a", "azurepolicy")
    assert shown is not None
    assert shown["properties"]["provisioningState"] == "Failed"
    assert shown["properties"]["statuses"][0]["message"] == UNSCHEDULED
    # What stands is the engine's to know, and is drift until it works.
    assert failed.made.state.installed is False
    assert failed.made.state.statuses == [
        f"InstallationFailed: {UNSCHEDULED}",
        f"ExtensionCreationFailed: {UNSCHEDULED}",
    ]


def test_a_version_that_the_registry_lacks_is_told_with_the_way_to_do_without(cluster: Cluster) -> None:
    text = str(cluster.fails(cluster.extension("akv", version="9.9.9"), NO_SUCH_CHART))
    assert "9.9.9: not found" in text
    assert "the registry has no such version: leave `version` out" in text


def test_a_custom_location_is_refused_as_long_as_its_extension_failed(cluster: Cluster) -> None:
    cluster.fails(cluster.extension("app"), UNSCHEDULED)
    with pytest.raises(ArmError) as caught:
        cluster.offer("app")
    assert caught.value.code == "ClusterExtensionNotReady"
    assert "InstallState 'Failed'" in caught.value.said
    assert "fix that extension first" in caught.value.remedy
    assert "Succeeded" in caught.value.remedy


def test_a_custom_location_on_a_cluster_that_is_offline_is_refused(cluster: Cluster) -> None:
    cluster.lab.admin("POST", "clock", {"advanceSeconds": 16 * 60})
    with pytest.raises(ArmError, match="'Offline'") as caught:
        cluster.offer()
    assert "azlocal arc status" in caught.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("connectedClusters/a", "connectedClusters/gone", "in another resource group or subscription"),
        (f"/{GROUP}/", "/other-rg/", "make the resource group, or correct its name and the subscription"),
    ],
    ids=["no such cluster", "another resource group"],
)
def test_an_extension_of_a_cluster_that_is_not_there_is_told(
    cluster: Cluster, old: str, new: str, words: str
) -> None:
    assert old in cluster.id
    with pytest.raises(ArmError, match="NotFound") as caught:
        cluster.install(cluster.extension("azurepolicy", cluster.id.replace(old, new)))
    assert words in caught.value.remedy
