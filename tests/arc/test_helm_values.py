"""The values of the agents' chart (facts §1.8, §8)."""

from __future__ import annotations

import json
from typing import Any

from infra.arc.bodies import cluster_body, is_within, settings_body
from infra.arc.charts import parse_chart
from infra.arc.diagnosis import settings_of
from infra.arc.endpoints.table import Settings, endpoints_of
from infra.arc.environment import AzureEnvironment, environment_of
from infra.arc.helm_values import agent_values, nested
from infra.arc.model import (
    AzureRbac,
    AzureScope,
    CustomLocations,
    Features,
    Onboarding,
    Proxy,
)

PROXY = Proxy(
    "https://u:canary-proxy@proxy:8443", "http://u:canary-proxy@proxy:8080", ("10.0.0.0/8", ".svc"), "PEM"
)
OWN = AzureEnvironment(
    name="custom",
    resource_manager="https://arm.lab",
    authority="https://login.lab",
    audience="https://arm.lab/",
    data_plane_audience="https://arm.lab/",
    suffix="com",
    config_endpoint="https://10.0.0.1:8443/dp",
    his_endpoint="https://10.0.0.1:8443/his",
    relay_suffix="relay.lab",
)


def wanted(environment: AzureEnvironment | None = None, **more: Any) -> Onboarding:
    given: dict[str, Any] = {
        "environment": environment or environment_of("AzureCloud"),
        "scope": AzureScope("sub", "rg"),
        "name": "a",
        "location": "eastus",
        "kubeconfig": "",
    }
    return Onboarding(**given | more)


def values(one: Onboarding, served: dict[str, str] | None = None, authorities: str = "") -> dict[str, Any]:
    return agent_values(
        one,
        tenant_id="tenant",
        principal_id="principal",
        registry="mcr.microsoft.com",
        served=served or {},
        authorities=authorities,
    )


def test_the_public_cloud_is_given_no_other_back_end() -> None:
    found = values(wanted())
    assert found["global"]["azureEnvironment"] == "AZUREPUBLICCLOUD"
    assert found["global"]["subscriptionId"] == "sub"
    assert found["global"]["isProxyEnabled"] is False
    assert found["systemDefaultValues"]["spnOnboarding"] is False
    assert found["systemDefaultValues"]["clusterconnect-agent"] == {"enabled": True}
    assert "override" not in json.dumps(found)
    assert "onboardingPrivateKey" not in json.dumps(found)


def test_each_cloud_has_its_name() -> None:
    found = values(wanted(environment_of("AzureUSGovernment")))
    assert found["global"]["azureEnvironment"] == "AZUREUSGOVERNMENTCLOUD"
    assert values(wanted(environment_of("AzureChinaCloud")))["global"]["azureEnvironment"] == "AZURECHINACLOUD"


def test_another_back_end_is_told_to_agents_by_the_overrides() -> None:
    found = values(wanted(OWN), authorities="CA\n")
    own = found["systemDefaultValues"]
    assert own["azureArcAgents"]["config_dp_endpoint_override"] == "https://10.0.0.1:8443/dp"
    discovery = "https://10.0.0.1:8443/his/discovery?location=eastus&api-version=1.0-preview"
    assert own["clusteridentityoperator"]["his_endpoint_override"] == discovery
    assert own["clusterconnect-agent"]["relay_endpoint_suffix_override"] == "relay.lab"
    assert found["global"]["kubeAadEndpoint"] == "principal.k8sproxysvc.connectrp.azs"
    assert found["global"]["proxyCert"] == "CA\n"
    assert found["global"]["isCustomCert"] is True


def test_a_proxy_and_its_certificate_go_to_agents_unescaped() -> None:
    found = values(wanted(features=Features(proxy=PROXY)))["global"]
    assert found["isProxyEnabled"] is True
    assert found["noProxy"] == "10.0.0.0/8,.svc"
    assert found["proxyCert"] == "PEM\n"


def test_a_proxy_that_is_no_longer_wanted_is_taken_away() -> None:
    found = values(wanted())["global"]
    assert (found["httpsProxy"], found["proxyCert"], found["isCustomCert"]) == ("", "", False)


def test_what_the_data_plane_says_wins_and_its_placeholders_are_filled_in_here() -> None:
    served = {
        "global.tenantId": "theirs",
        "global.httpsProxy": "redacted:proxy:https_proxy",
        "systemDefaultValues.azureArcAgents.autoUpdate": "false",
        "global.isProxyEnabled": "True",
    }
    found = values(wanted(features=Features(proxy=PROXY)), served)
    assert found["global"]["tenantId"] == "theirs"
    assert found["global"]["httpsProxy"] == PROXY.https
    assert found["global"]["isProxyEnabled"] == "True"
    assert found["systemDefaultValues"]["azureArcAgents"]["autoUpdate"] is False


def test_the_data_plane_does_not_take_the_environments_authority_away() -> None:
    served = {"global.proxyCert": "redacted:proxy:proxy_cert"}
    found = values(wanted(OWN, features=Features(proxy=PROXY)), served, authorities="CA")
    assert found["global"]["proxyCert"] == "PEM\nCA\n"


def test_a_private_link_forces_cluster_connect_and_custom_locations_off() -> None:
    features = Features(private_link_scope_id="/scope", custom_locations=CustomLocations(True, "oid"))
    found = values(wanted(features=features), {"systemDefaultValues.clusterconnect-agent.enabled": "true"})
    assert found["systemDefaultValues"]["clusterconnect-agent"]["enabled"] is False
    assert found["systemDefaultValues"]["customLocations"] == {"enabled": False}


def test_over_a_private_link_nobody_asks_for_what_cluster_connect_needs() -> None:
    for features in (Features(private_link_scope_id="/scope"), Features(cluster_connect=False)):
        assert settings_of(wanted(features=features)).cluster_connect is False
    assert settings_of(wanted()).cluster_connect is True


def test_features_reach_the_chart() -> None:
    features = Features(
        custom_locations=CustomLocations(True, "oid"),
        azure_rbac=AzureRbac(True, ("system:a", "b")),
    )
    found = values(wanted(features=features, auto_upgrade=False))["systemDefaultValues"]
    assert found["customLocations"] == {"enabled": True, "oid": "oid"}
    assert found["guard"] == {"enabled": True, "authnMode": "arc", "skipAuthzCheck": "system:a,b"}
    assert found["azureArcAgents"]["autoUpdate"] is False


def test_what_goes_to_azure_has_no_secret() -> None:
    one = wanted(features=Features(proxy=PROXY))
    body = cluster_body(one, "KEY")
    assert "canary" not in json.dumps(body) + json.dumps(settings_body(one, {**body, "id": "x"}))
    settings = settings_body(one, body)["properties"]["arcAgentryConfigurations"]
    assert settings[0]["protectedSettings"]["https_proxy"] == "redacted:proxy:https_proxy"
    assert "canary" not in repr(one)


def test_what_azure_adds_and_how_it_spells_regions_is_no_difference() -> None:
    body = cluster_body(wanted(), "KEY")
    found = json.loads(json.dumps(body))
    found["location"] = "East US"
    found["properties"] |= {"provisioningState": "Succeeded", "kubernetesVersion": "1.34"}
    del found["properties"]["oidcIssuerProfile"]
    assert is_within(body, found)
    found["properties"]["azureHybridBenefit"] = "True"
    assert not is_within(body, found)


def test_flat_keys_nest() -> None:
    assert nested({"a.b": 1, "a.c-d.e": 2, "f": 3}) == {"a": {"b": 1, "c-d": {"e": 2}}, "f": 3}


def test_no_registry_is_derived_from_a_clouds_suffix() -> None:
    """China's is mcr.azk8s.cn, and none is called mcr.microsoft.cn (facts §9, 19): the data plane names it."""
    china = environment_of("AzureChinaCloud")
    assert "mcr." not in json.dumps(values(wanted(china)))
    reached = {one.name for one in endpoints_of(china, Settings(location="chinaeast2"))}
    assert "mcr.azk8s.cn" in reached
    assert not any(one.startswith("mcr.microsoft.") for one in reached)
    named = parse_chart("mcr.azk8s.cn/azurearck8s/batch1/stable/azure-arc-k8sagents:1.36.1")
    assert (named.registry, named.url.partition("/azurearck8s")[0]) == ("mcr.azk8s.cn", "oci://mcr.azk8s.cn")
