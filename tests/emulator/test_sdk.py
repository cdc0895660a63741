"""The unmodified azure-identity and azure-mgmt packages against the emulator, over real TLS."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.mgmt.hybridkubernetes import ConnectedKubernetesClient

from tests.emulator.azure_sdk import (
    HOUR,
    LIMIT,
    OF_CLUSTER,
    Azure,
    cluster_body,
    code_of,
    extension_body,
    flux_body,
)
from tests.waiting import eventually

CANARY = "c4nary-of-a-secret"


def test_cluster_lives_as_on_azure(azure: Azure, group: str) -> None:
    body = cluster_body(tags={"site": "lab"}, properties={"distribution": "generic", "infrastructure": "generic"})
    poller = azure.clusters.begin_create_or_replace(group, "a", body)
    assert azure.requests[-1][2] == 201
    made = poller.result()
    assert made.id == azure.cluster_id(group, "a")
    assert (made.name, made.type) == ("a", "Microsoft.Kubernetes/connectedClusters")
    assert made.properties.provisioning_state == "Succeeded"
    assert made.properties.connectivity_status == "Connecting"
    assert made.identity.principal_id
    assert made.identity.tenant_id == azure.emulator.settings.tenant_id
    assert [one.name for one in azure.clusters.list_by_resource_group(group)] == ["a"]
    assert made.id in [one.id for one in azure.clusters.list_by_subscription()]

    patched = azure.clusters.begin_update_async(
        group, "a", {"tags": {"x": "y"}, "properties": {"azureHybridBenefit": "True"}}
    ).result()
    found = azure.clusters.get(group, "A")  # ids are compared without regard to case
    assert patched.id == found.id == made.id
    assert found.tags == {"x": "y"}
    assert found.properties.azure_hybrid_benefit == "True"
    assert found.properties.distribution == "generic"

    azure.clusters.begin_delete(group, "a").result()
    with pytest.raises(ResourceNotFoundError) as error:
        azure.clusters.get(group, "a")
    assert code_of(error.value) == "ResourceNotFound"
    azure.clusters.begin_delete(group, "a").result()
    assert azure.requests[-1][2] == 204


def test_polls_as_the_facts_measured(azure: Azure, group: str) -> None:
    azure.requests.clear()
    azure.clusters.begin_create_or_replace(group, "a", cluster_body()).result()
    verbs = [(method, status) for method, _, status in azure.requests]
    assert verbs[0] == ("PUT", 201)
    assert verbs[-1] == ("GET", 200)
    assert len(verbs) >= 4  # PUT, a pending and a last poll, the resource
    polled = azure.requests[1][1]
    assert "/providers/Microsoft.Kubernetes/locations/eastus/operationStatuses/" in polled


def test_put_again_keeps_identity_and_what_agents_said(azure: Azure, group: str) -> None:
    made = azure.connect(group, "a")
    azure.agents.beat(made.id, kubernetesVersion="1.33.5")
    again = azure.connect(group, "a", tags={"new": "tag"})
    assert ("PUT", 200) in [(method, status) for method, _, status in azure.requests]
    assert again.identity.principal_id == made.identity.principal_id
    assert again.properties.kubernetes_version == "1.33.5"
    assert again.properties.connectivity_status == "Connected"


def test_another_key_or_place_is_refused(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    other = cluster_body(properties={"agentPublicKeyCertificate": "b3RoZXI="})
    with pytest.raises(ResourceExistsError) as error:
        azure.clusters.begin_create_or_replace(group, "a", other, polling=False)
    assert code_of(error.value) == "PropertyChangeNotAllowed"
    with pytest.raises(ResourceExistsError) as error:
        azure.clusters.begin_create_or_replace(group, "a", cluster_body(location="westeurope"), polling=False)
    assert code_of(error.value) == "InvalidResourceLocation"


def test_connectivity_follows_the_clock(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")

    def status() -> Any:
        return azure.clusters.get(group, "a").properties.connectivity_status

    assert status() == "Connecting"
    azure.agents.beat(cluster.id)
    assert status() == "Connected"
    azure.admin.advance(HOUR / 4 + 1)
    assert status() == "Offline"
    azure.agents.beat(cluster.id)
    assert status() == "Connected"
    azure.admin.advance(90 * 24 * HOUR)
    azure.agents.beat(cluster.id)
    assert status() == "Expired"


def test_fault_expires_a_certificate(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    azure.agents.beat(cluster.id)
    assert azure.admin.plant(kind="expireCertificate", path=f"{group}/.*/a$")["clusters"] == [cluster.id]
    assert azure.clusters.get(group, "a").properties.connectivity_status == "Expired"


def test_resource_without_agents_can_be_onboarded_later(azure: Azure, group: str) -> None:
    without = azure.connect(group, "a", properties={"agentPublicKeyCertificate": ""})
    assert without.properties.connectivity_status == "AgentNotInstalled"
    assert azure.connect(group, "a").properties.connectivity_status == "Connecting"


def test_credentials_for_the_cluster_connect_proxy(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    azure.agents.beat(cluster.id)
    found = azure.clusters.list_cluster_user_credential(
        group, "a", {"authenticationMethod": "Token", "clientProxy": True}
    )
    assert found.hybrid_connection_config.token.startswith("SharedAccessSignature")
    assert found.kubeconfigs[0].value


def test_extension_lives_by_its_agents(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    azure.agents.beat(cluster.id)
    body = extension_body(
        "Microsoft.Flux", configurationSettings={"a": "b"}, configurationProtectedSettings={"key": CANARY}
    )
    poller = azure.extensions.begin_create(group, *OF_CLUSTER, "a", "flux", body)
    assert azure.extensions.get(group, *OF_CLUSTER, "a", "flux").properties.provisioning_state == "Creating"
    wanted = azure.agents.desired(cluster.id)["flux"]
    assert wanted.protected == {"key": CANARY}
    assert wanted.properties["extensionType"] == "microsoft.flux"
    assert wanted.properties["scope"] == {"cluster": {"releaseNamespace": "flux-system"}}
    assert not poller.done()
    azure.agents.report(cluster.id, "flux", properties={"currentVersion": "1.17.3"})
    made = poller.result()
    assert made.properties.provisioning_state == "Succeeded"
    assert made.properties.current_version == "1.17.3"
    assert made.properties.configuration_settings == {"a": "b"}
    assert azure.agents.desired(cluster.id)["flux"].protected is None  # handed out and reported on

    poller = azure.extensions.begin_update(
        group, *OF_CLUSTER, "a", "flux", {"properties": {"configurationSettings": {"a": None, "c": "d"}}}
    )
    assert azure.agents.desired(cluster.id)["flux"].properties["configurationSettings"] == {"c": "d"}
    azure.agents.report(cluster.id, "flux")
    assert poller.result().properties.configuration_settings == {"c": "d"}
    assert [one.name for one in azure.extensions.list(group, *OF_CLUSTER, "a")] == ["flux"]

    deletion = azure.extensions.begin_delete(group, *OF_CLUSTER, "a", "flux")
    assert azure.agents.desired(cluster.id)["flux"].deleting
    assert azure.extensions.get(group, *OF_CLUSTER, "a", "flux").properties.provisioning_state == "Deleting"
    azure.agents.report(cluster.id, "flux", "Deleted")
    deletion.result()
    with pytest.raises(ResourceNotFoundError):
        azure.extensions.get(group, *OF_CLUSTER, "a", "flux")


def test_extension_that_fails_says_why(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    azure.agents.beat(cluster.id)
    poller = azure.extensions.begin_create(group, *OF_CLUSTER, "a", "x", extension_body())
    azure.agents.report(
        cluster.id, "x", "Failed", error_code="ExtensionCreationFailed", error_message="no such chart version"
    )
    with pytest.raises(HttpResponseError, match="no such chart version") as error:
        poller.result()
    assert code_of(error.value) == "ResourceOperationFailure"
    assert azure.extensions.get(group, *OF_CLUSTER, "a", "x").properties.provisioning_state == "Failed"
    # It can be tried again, and taken away.
    azure.extensions.begin_create(group, *OF_CLUSTER, "a", "x", extension_body(), polling=False)
    azure.agents.report(cluster.id, "x")
    azure.extensions.begin_delete(group, *OF_CLUSTER, "a", "x", force_delete=True).result()


def test_deletion_waits_for_agents_unless_forced(azure: Azure, group: str, waits: list[float]) -> None:
    cluster = azure.connect(group, "a")
    azure.extensions.begin_create(group, *OF_CLUSTER, "a", "never", extension_body(), polling=False)
    # No agent was ever heard: there is nothing to uninstall.
    azure.extensions.begin_delete(group, *OF_CLUSTER, "a", "never").result()
    azure.agents.beat(cluster.id)
    azure.extensions.begin_create(group, *OF_CLUSTER, "a", "x", extension_body(), polling=False)
    azure.admin.advance(HOUR)  # Offline
    waiting = azure.extensions.begin_delete(group, *OF_CLUSTER, "a", "x")
    polled = len(waits)
    eventually(lambda: len(waits) > polled + 1, "it is asked twice whether it is done")
    assert not waiting.done()
    azure.extensions.begin_delete(group, *OF_CLUSTER, "a", "x", force_delete=True).result()
    waiting.result()
    assert list(azure.extensions.list(group, *OF_CLUSTER, "a")) == []


def test_what_waits_for_an_offline_cluster_fails_after_two_days(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    azure.agents.beat(cluster.id)
    body = extension_body(configurationProtectedSettings={"key": CANARY})
    poller = azure.extensions.begin_create(group, *OF_CLUSTER, "a", "x", body)
    azure.admin.advance(LIMIT + 1)
    with pytest.raises(HttpResponseError, match="within 48 hours"):
        poller.result()
    assert azure.agents.desired(cluster.id)["x"].protected is None


def test_second_change_meets_the_first(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    azure.extensions.begin_create(group, *OF_CLUSTER, "a", "x", extension_body(), polling=False)
    with pytest.raises(ResourceExistsError) as error:
        azure.extensions.begin_create(
            group, *OF_CLUSTER, "a", "x", extension_body(releaseTrain="Preview"), polling=False
        )
    assert code_of(error.value) == "AnotherOperationInProgress"


def test_extension_rules(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    refused = [
        {"version": "1.0.0", "autoUpgradeMinorVersion": True},
        {"scope": {"cluster": {"releaseNamespace": "x"}, "namespace": {"targetNamespace": "y"}}},
        {"extensionType": ""},
    ]
    for wrong in refused:
        body = extension_body("t")
        body["properties"] |= wrong
        with pytest.raises(HttpResponseError) as error:
            azure.extensions.begin_create(group, *OF_CLUSTER, "a", "x", body, polling=False)
        assert code_of(error.value) == "BadRequest"
    with pytest.raises(ResourceNotFoundError, match="connectedClusters/nobody"):
        azure.extensions.begin_create(group, *OF_CLUSTER, "nobody", "x", extension_body(), polling=False)


def test_flux_configuration_lives_by_its_agents(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    azure.agents.beat(cluster.id)
    body = flux_body(configurationProtectedSettings={"httpsKey": "Y2FuYXJ5"})
    poller = azure.flux.begin_create_or_update(group, *OF_CLUSTER, "a", "apps", body)
    assert azure.agents.desired(cluster.id)["apps"].protected == {"httpsKey": "Y2FuYXJ5"}
    azure.agents.report(cluster.id, "apps", properties={"complianceState": "Non-Compliant"})
    made = poller.result()
    assert made.properties.compliance_state == "Non-Compliant"
    assert made.properties.git_repository.sync_interval_in_seconds == 600
    assert made.properties.kustomizations["apps"].name == "apps"
    # Compliance goes on changing without any operation.
    azure.agents.report(cluster.id, "apps", properties={"complianceState": "Compliant"})
    assert azure.flux.get(group, *OF_CLUSTER, "a", "apps").properties.compliance_state == "Compliant"

    changes = {"properties": {"kustomizations": {"apps": None, "infra": {"path": "./infra"}}}}
    poller = azure.flux.begin_update(group, *OF_CLUSTER, "a", "apps", changes)
    azure.agents.report(cluster.id, "apps")
    assert list(poller.result().properties.kustomizations) == ["infra"]
    assert [one.name for one in azure.flux.list(group, *OF_CLUSTER, "a")] == ["apps"]
    deletion = azure.flux.begin_delete(group, *OF_CLUSTER, "a", "apps")
    azure.agents.report(cluster.id, "apps", "Deleted")
    deletion.result()


def test_secrets_among_flux_properties_are_protected_too(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    body = flux_body(
        sourceKind="Bucket", bucket={"url": "https://s3.example", "bucketName": "b", "accessKey": CANARY}
    )
    del body["properties"]["gitRepository"]
    azure.flux.begin_create_or_update(group, *OF_CLUSTER, "a", "apps", body, polling=False)
    assert azure.agents.desired(cluster.id)["apps"].protected == {"bucket.accessKey": CANARY}
    assert CANARY not in str(azure.flux.get(group, *OF_CLUSTER, "a", "apps").as_dict())


def test_protected_settings_never_come_back(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    base = f"{azure.cluster_id(group, 'a')}/providers/Microsoft.KubernetesConfiguration"
    body = extension_body(configurationProtectedSettings={"key": CANARY})
    answers = [
        azure.arm("PUT", f"{base}/extensions/x?api-version=2023-05-01", body),
        azure.arm("GET", f"{base}/extensions/x?api-version=2023-05-01"),
        azure.arm("GET", f"{base}/extensions?api-version=2023-05-01"),
    ]
    assert [status for status, _, _ in answers] == [201, 200, 200]
    assert CANARY not in str(answers)
    assert "configurationProtectedSettings" not in str(answers)
    wrong = extension_body(configurationProtectedSettings={"key": {"nested": CANARY}})
    status, refusal, _ = azure.arm("PUT", f"{base}/extensions/y?api-version=2023-05-01", wrong)
    assert status == 400
    assert "configurationProtectedSettings.key" in refusal["error"]["message"]
    assert CANARY not in str(refusal)
    assert CANARY not in (azure.emulator.folder / "emulator.log").read_text()


def test_custom_location_needs_a_connected_cluster_and_its_extension(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    extension = f"{cluster.id}/providers/Microsoft.KubernetesConfiguration/extensions/x"
    body = {
        "location": "eastus",
        "properties": {"hostResourceId": cluster.id, "clusterExtensionIds": [extension], "namespace": "arc"},
    }

    def refused() -> str:
        with pytest.raises(HttpResponseError) as error:
            azure.custom_locations.begin_create_or_update(group, "here", body, polling=False)
        return code_of(error.value)

    assert refused() == "HostResourceNotConnected"
    azure.agents.beat(cluster.id)
    assert refused() == "ClusterExtensionNotFound"
    azure.extensions.begin_create(
        group, *OF_CLUSTER, "a", "x", extension_body("microsoft.iotoperations"), polling=False
    )
    assert refused() == "ClusterExtensionNotReady"
    azure.agents.report(cluster.id, "x")
    made = azure.custom_locations.begin_create_or_update(group, "here", body).result()
    assert (made.host_type, made.namespace, made.provisioning_state) == ("Kubernetes", "arc", "Succeeded")
    assert azure.custom_locations.update(group, "here", tags={"a": "b"}).tags == {"a": "b"}
    assert [one.name for one in azure.custom_locations.list_by_resource_group(group)] == ["here"]
    azure.custom_locations.begin_delete(group, "here").result()
    with pytest.raises(ResourceNotFoundError):
        azure.custom_locations.get(group, "here")


def test_deleted_cluster_takes_its_children_along(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    azure.connect(group, "a-b")  # a name that begins like it
    for name in ("a", "a-b"):
        azure.extensions.begin_create(group, *OF_CLUSTER, name, "x", extension_body(), polling=False)
    waiting = azure.extensions.begin_create(group, *OF_CLUSTER, "a", "y", extension_body())
    azure.clusters.begin_delete(group, "a").result()
    with pytest.raises(HttpResponseError):  # cancelled: it will never end
        waiting.result()
    azure.connect(group, "a")
    assert list(azure.extensions.list(group, *OF_CLUSTER, "a")) == []
    assert [one.name for one in azure.extensions.list(group, *OF_CLUSTER, "a-b")] == ["x"]
    assert azure.clusters.get(group, "a").identity.principal_id != cluster.identity.principal_id


def test_resource_group_takes_everything_along(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    groups = azure.resources.resource_groups
    assert groups.check_existence(group)
    assert [one.name for one in azure.resources.resources.list_by_resource_group(group)] == ["a"]
    listed = azure.resources.resources.list(filter="resourceType eq 'Microsoft.Kubernetes/connectedClusters'")
    assert f"{group}/" in str([one.id for one in listed])
    deletion = groups.begin_delete(group)
    with pytest.raises(ResourceExistsError) as error:
        azure.connect(group, "b")
    assert code_of(error.value) == "ResourceGroupBeingDeleted"
    deletion.result()
    assert not groups.check_existence(group)
    with pytest.raises(ResourceNotFoundError) as missing:
        azure.clusters.get(group, "a")
    assert code_of(missing.value) == "ResourceGroupNotFound"


def test_generic_resource_client(azure: Azure, group: str) -> None:
    cluster = azure.connect(group, "a")
    generic = azure.resources.resources
    assert generic.get_by_id(cluster.id, api_version="2024-01-01").name == "a"
    generic.begin_delete_by_id(cluster.id, api_version="2024-01-01").result()
    with pytest.raises(ResourceNotFoundError):
        generic.get_by_id(cluster.id, api_version="2024-01-01")


def test_providers_can_be_missing(azure: Azure, group: str) -> None:
    providers = azure.resources.providers
    assert providers.get("Microsoft.KubernetesRuntime").registration_state == "Registered"
    found = providers.get("microsoft.kubernetes")
    types = {one.resource_type: one for one in found.resource_types}
    assert "East US" in types["connectedClusters"].locations
    assert "2026-05-01" in types["connectedClusters"].api_versions
    assert providers.get("Microsoft.AzureStackHCI").registration_state == "NotRegistered"
    providers.unregister("Microsoft.ExtendedLocation")
    path = f"/subscriptions/{azure.subscription}/resourceGroups/{group}/providers/Microsoft.ExtendedLocation"
    status, refusal, _ = azure.arm(
        "PUT", f"{path}/customLocations/x?api-version=2021-08-15", {"location": "eastus"}
    )
    assert (status, refusal["error"]["code"]) == (409, "MissingSubscriptionRegistration")
    assert providers.register("Microsoft.ExtendedLocation").registration_state == "Registering"
    azure.admin.advance(5)
    assert providers.get("Microsoft.ExtendedLocation").registration_state == "Registered"


def test_older_versions_of_the_api(azure: Azure, group: str) -> None:
    older = azure.client(ConnectedKubernetesClient, api_version="2024-01-01").connected_cluster
    older.begin_create_or_replace(group, "a", cluster_body()).result()
    assert older.get(group, "a").name == "a"
    unknown = azure.client(ConnectedKubernetesClient, api_version="1999-01-01").connected_cluster
    with pytest.raises(HttpResponseError) as error:
        unknown.get(group, "a")
    assert code_of(error.value) == "NoRegisteredProviderFound"
