"""What is said before anything is made: credentials, subscription, providers, location, settings, cluster."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.arc.azure import EXTENDED_LOCATION, HYBRID_COMPUTE, Azure
from infra.arc.credentials import Credential, credential_for
from infra.arc.environment import AzureEnvironment
from infra.arc.errors import Unready
from infra.arc.model import AzureScope, CustomLocations, Features, OidcIssuer, Onboarding
from infra.arc.onboarding import connect, precheck
from infra.kubernetes.api import ClusterApi
from tests.arc.living import Lab

GUID = "11111111-2222-3333-4444-555555555555"
CANARY = "canary-0b5e"


@pytest.fixture(scope="module")
def azure(emulated_lab: Lab) -> Iterator[Azure]:
    with emulated_lab.azure() as found:
        yield found


@pytest.fixture
def unregistered(azure: Azure, emulated_lab: Lab) -> Iterator[str]:
    azure._resources.providers.unregister(EXTENDED_LOCATION)
    yield EXTENDED_LOCATION
    azure.register(EXTENDED_LOCATION, work=emulated_lab.work())


def rules(azure: Azure, wanted: Onboarding) -> dict[str, str]:
    return {one.rule: f"{one.severity}: {one}" for one in precheck(azure, wanted, None)}


def test_a_sound_subscription_has_no_problem(azure: Azure, emulated_lab: Lab) -> None:
    assert rules(azure, emulated_lab.wanted()) == {}


def test_a_resource_provider_that_is_missing_is_named_with_the_command(
    azure: Azure, emulated_lab: Lab, unregistered: str
) -> None:
    features = Features(custom_locations=CustomLocations(True, GUID))
    found = rules(azure, emulated_lab.wanted(features=features))
    assert list(found) == ["provider-not-registered"]
    assert f"az provider register --namespace {unregistered}" in found["provider-not-registered"]
    assert found["provider-not-registered"].startswith("error")
    assert rules(azure, emulated_lab.wanted()) == {}  # which needs none of it


def test_what_is_declared_on_a_cluster_may_need_others(azure: Azure, emulated_lab: Lab) -> None:
    found = rules(azure, emulated_lab.wanted(providers=("Microsoft.Insights", "Microsoft.Dashboard")))
    assert list(found) == ["provider-not-registered"]
    assert "az provider register --namespace Microsoft.Dashboard" in found["provider-not-registered"]


def test_it_is_registered_where_that_is_allowed(azure: Azure, emulated_lab: Lab, unregistered: str) -> None:
    features = Features(custom_locations=CustomLocations(True, GUID))
    assert rules(azure, emulated_lab.wanted(features=features, register_providers=True)) == {}
    assert azure.provider_state(unregistered) == "Registered"


def test_a_location_that_is_not_offered_is_told_with_those_that_are(azure: Azure, emulated_lab: Lab) -> None:
    found = rules(azure, emulated_lab.wanted(location="Mars North"))
    assert "'Mars North'" in found["location"]
    assert "eastus" in found["location"]


def test_a_locations_long_name_is_as_good(azure: Azure, emulated_lab: Lab) -> None:
    assert rules(azure, emulated_lab.wanted(location="East US")) == {}


@pytest.mark.parametrize(
    ("features", "more", "rule"),
    [
        (
            {"private_link_scope_id": "LINK", "custom_locations": CustomLocations(True, GUID)},
            {},
            "private-link-custom-locations",
        ),
        (
            {"cluster_connect": False, "custom_locations": CustomLocations(True, GUID)},
            {},
            "custom-locations-connect",
        ),
        ({"custom_locations": CustomLocations(True)}, {}, "custom-locations-oid"),
        ({"private_link_scope_id": "LINK", "gateway_id": "/g"}, {}, "private-link-gateway"),
        ({"private_link_scope_id": "LINK"}, {}, "private-link-scope"),
        ({"workload_identity": True}, {}, "workload-identity-issuer"),
        ({"oidc_issuer": OidcIssuer(True)}, {"distribution": "eks"}, "oidc-issuer"),
        ({}, {"agent_version": "1.30.0"}, "agents-version"),
        ({}, {"agent_version": "latest"}, "agents-version"),
    ],
)
def test_settings_that_exclude_or_lack_something_are_told(
    azure: Azure, emulated_lab: Lab, features: dict[str, Any], more: dict[str, Any], rule: str
) -> None:
    link = f"{azure.scope.group_id}/providers/{HYBRID_COMPUTE}/privateLinkScopes/none"
    given: dict[str, Any] = {key: link if value == "LINK" else value for key, value in features.items()}
    found = rules(azure, emulated_lab.wanted(features=Features(**given), **more))
    assert rule in found
    assert ";" in found[rule]  # which is followed by the remedy


def test_what_custom_locations_need_is_told_with_the_command(azure: Azure, emulated_lab: Lab) -> None:
    """Who may not read Graph gives the object id by hand (facts §9, 15); a private link excludes them (20)."""
    found = rules(azure, emulated_lab.wanted(features=Features(custom_locations=CustomLocations(True))))
    assert "object id" in found["custom-locations-oid"]
    assert "az ad sp show --id bc313c14-388c-4e7d-a58e-70017303ee3b --query id" in found["custom-locations-oid"]
    both = Features(custom_locations=CustomLocations(True, GUID), private_link_scope_id="/s")
    found = rules(azure, emulated_lab.wanted(features=both))
    assert "can't be used over a private link" in found["private-link-custom-locations"]
    assert "switch one of them off" in found["private-link-custom-locations"]


def test_every_fault_is_told_at_once(azure: Azure, emulated_lab: Lab) -> None:
    features = Features(custom_locations=CustomLocations(True), workload_identity=True)
    found = rules(azure, emulated_lab.wanted(location="mars", features=features, agent_version="1.0.0"))
    assert set(found) >= {"location", "custom-locations-oid", "workload-identity-issuer", "agents-version"}


def test_a_private_link_scope_elsewhere_is_told(azure: Azure, emulated_lab: Lab) -> None:
    azure.ensure_resource_group("eastus", {})
    link = f"{azure.scope.group_id}/providers/{HYBRID_COMPUTE}/privateLinkScopes/west"
    azure.put_resource(link, "2024-07-10", {"location": "westus"}, work=emulated_lab.work())
    found = rules(azure, emulated_lab.wanted(features=Features(private_link_scope_id=link)))
    assert "westus" in found["private-link-location"]


def test_an_unknown_subscription_is_told(emulated_lab: Lab) -> None:
    scope = AzureScope(GUID, "rg")
    with Azure(emulated_lab.environment, scope, credential_for(emulated_lab.environment)) as azure:
        found = rules(azure, emulated_lab.wanted(scope=scope))
    assert set(found) == {"subscription"}
    assert "SubscriptionNotFound" in found["subscription"]


def test_a_wrong_credential_is_told_without_its_secret(emulated_lab: Lab) -> None:
    environment, credential = _with_secret(emulated_lab, CANARY)
    with Azure(environment, emulated_lab.scope, credential) as azure:
        found = rules(azure, emulated_lab.wanted(environment=environment))
    assert set(found) == {"credential"}
    assert "AADSTS7000215" in found["credential"]
    assert CANARY not in found["credential"]


def test_an_azure_that_does_not_answer_is_told(emulated_lab: Lab) -> None:
    gone = emulated_lab.environment.model_copy(update={"resource_manager": "https://127.0.0.1:1"})
    with Azure(gone, emulated_lab.scope, credential_for(emulated_lab.environment)) as azure:
        assert set(rules(azure, emulated_lab.wanted(environment=gone))) == {"azure-unreachable"}


def test_a_blocked_data_plane_is_told_and_can_be_done_without(
    emulated_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = emulated_lab.environment.model_copy(update={"config_endpoint": "https://127.0.0.1:1"})
    with Azure(blocked, emulated_lab.scope, credential_for(emulated_lab.environment)) as azure:
        found = rules(azure, emulated_lab.wanted(environment=blocked))
        assert set(found) == {"data-plane-unreachable"}
        assert "HELMREGISTRY=" in found["data-plane-unreachable"]
        monkeypatch.setenv("HELMREGISTRY", "registry.lab/azure-arc-k8sagents:1.36.1")
        assert rules(azure, emulated_lab.wanted(environment=blocked)) == {}


def test_a_machine_whose_clock_is_wrong_is_told(emulated_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, credential = _with_secret(emulated_lab, emulated_lab.client["clientSecret"])
    with Azure(environment, emulated_lab.scope, credential) as azure:
        late = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=11)
        monkeypatch.setattr(Azure, "clock", lambda _: late)
        found = rules(azure, emulated_lab.wanted(environment=environment))
    assert "11 minutes behind" in found["clock"]


@pytest.mark.engine
def test_nothing_is_made_where_something_is_missing(lab: Lab) -> None:
    environment, credential = _with_secret(lab, CANARY)
    wanted = lab.wanted(environment=environment)
    with (
        Azure(environment, lab.scope, credential) as azure,
        pytest.raises(Unready, match="nothing was made") as caught,
    ):
        connect(azure, wanted, work=lab.work())
    assert any("AADSTS7000215" in one for one in caught.value.problems)
    assert CANARY not in str(caught.value)
    assert lab.cluster.kubectl("get", "namespace", "azure-arc", "--ignore-not-found") == ""
    with lab.azure() as azure:
        assert azure.get_cluster("a") is None


@pytest.mark.engine
def test_a_cluster_that_does_not_answer_is_told(lab: Lab) -> None:
    gone = ClusterApi(json.dumps(lab.cluster.config(port=1)))
    with lab.azure() as azure:
        assert [one.rule for one in precheck(azure, lab.wanted(), gone)] == ["cluster-unreachable"]


@pytest.mark.engine
@pytest.mark.parametrize("can_look", [False, True])
def test_a_user_who_is_no_administrator_is_told(lab: Lab, can_look: bool) -> None:
    name = f"viewer-{can_look}".lower()
    lab.cluster.kubectl("create", "serviceaccount", name)
    if can_look:
        rights = ("--verb=get,list", "--resource=nodes,pods,leases.coordination.k8s.io")
        lab.cluster.kubectl("create", "clusterrole", name, *rights)
        account = f"--serviceaccount=default:{name}"
        lab.cluster.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", account)
    config = lab.cluster.config()
    config["users"] = [{"name": "admin", "user": {"token": lab.cluster.kubectl("create", "token", name)}}]
    with lab.azure() as azure:
        found = precheck(azure, lab.wanted(), ClusterApi(json.dumps(config)))
    assert [one.rule for one in found] == ["cluster-admin"]


def _with_secret(lab: Lab, secret: str) -> tuple[AzureEnvironment, Credential]:
    """Return the emulator as another cloud, for which the variables count."""
    environment = lab.environment.model_copy(update={"name": "custom"})
    client = lab.client
    variables = {
        "AZURE_CLIENT_SECRET": secret,
        "AZURE_CLIENT_ID": client["clientId"],
        "AZURE_TENANT_ID": client["tenantId"],
    }
    return environment, credential_for(environment, None, variables)
