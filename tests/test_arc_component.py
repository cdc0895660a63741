"""What a cluster's Arc component declares, against an engine that takes everything and makes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.components.arc import ArcOnboarding, AzureSite, KubernetesCluster
from infra.plan.arc_topology import arc_of, connected_cluster_of
from infra.resources.arguments import TokenIssuerArgs
from infra.resources.declared import ControlPlane
from tests.instances import cluster, make_spec
from tests.plan.rules.arc_cases import SUBSCRIPTION, WORKLOADS
from tests.taking import Inputs, declared

WORKSPACE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/r/providers/Microsoft.OperationalInsights/workspaces/w"
ACCOUNT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/r/providers/Microsoft.Monitor/accounts/m"
SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/r/providers/Microsoft.HybridCompute/privateLinkScopes/s"
INSIGHTS = {"logAnalyticsWorkspaceResourceID": WORKSPACE}


def onboarded(
    arc: dict[str, Any],
    *,
    stack: dict[str, Any] | None = None,
    profiles: dict[str, Any] | None = None,
    **more: Any,
) -> Inputs:
    """Return the inputs of every resource, by name, of a cluster with this `arc:`."""
    spec = make_spec(
        cluster(arc=arc, **(profiles or {})),
        stack={"arc": {"subscriptionId": SUBSCRIPTION, **(stack or {})}},
        **more,
    )
    site, connected = arc_of(spec), connected_cluster_of(spec, spec.stack.clusters[0])
    assert site is not None
    assert connected is not None

    def program() -> None:
        control_plane = ControlPlane(
            "cp",
            {
                "instance": "lab",
                "cluster": "a",
                "kubeconfig": "k",
                "token": "t",
                "members": [],
            },
        )
        azure = AzureSite({"cloud": site.spec.cloud}, SUBSCRIPTION, site.resource_group, site, Path())
        tokens: TokenIssuerArgs = {"instance": "lab", "cluster": "a", "kubeconfig": "k", "signing_key": "PEM"}
        kubernetes = KubernetesCluster(control_plane, "hash", "image", tokens)
        ArcOnboarding("lab-a", connected, azure, kubernetes, pulumi.ResourceOptions())

    return declared(program, workspaceKey="key-1", publicKey="PK", issuerUrl="https://issuer.example/")


def test_container_insights_is_given_what_it_needs_to_collect() -> None:
    settings = {"dataCollectionSettings": '{"interval": "1m"}'}
    found = onboarded(
        {"knownExtensions": {"containerInsights": {**INSIGHTS, "settings": settings}}, "tags": {"team": "x"}},
        stack={"registerProviders": True},
    )
    collection = found["lab-a-azuremonitor-containers-collection"]
    assert collection["name"] == "ContainerInsightsExtension"
    assert (collection["collects"], collection["workspaceId"]) == ("logs", WORKSPACE)
    assert collection["settings"] == '{"interval": "1m"}'
    assert collection["tags"] == {"team": "x"}
    assert collection["registerProviders"] is True
    extension = found["lab-a-azuremonitor-containers"]
    assert extension["configurationProtectedSettings"] == {
        "amalogs.secret.wsid": "key-1",
        "amalogs.secret.key": "<not_used>",
        "omsagent.secret.wsid": "key-1",
        "omsagent.secret.key": "<not_used>",
    }
    assert extension["configurationSettings"] == {
        "logAnalyticsWorkspaceResourceID": WORKSPACE,
        "amalogs.useAADAuth": "true",
        **settings,
    }


@pytest.mark.parametrize(
    ("cloud", "domain"), [("AzureUSGovernment", "opinsights.azure.us"), ("AzureChinaCloud", "opinsights.azure.cn")]
)
def test_logs_of_other_clouds_go_to_their_own_domain(cloud: str, domain: str) -> None:
    found = onboarded({"knownExtensions": {"containerInsights": INSIGHTS}}, stack={"cloud": cloud})
    settings = found["lab-a-azuremonitor-containers"]["configurationSettings"]
    assert (settings["amalogs.domain"], settings["omsagent.domain"]) == (domain, domain)


def test_managed_prometheus_is_given_what_it_needs_to_collect() -> None:
    found = onboarded({"knownExtensions": {"managedPrometheus": {"azureMonitorWorkspaceResourceId": ACCOUNT}}})
    collection = found["lab-a-azuremonitor-metrics-collection"]
    assert collection["name"] == "ContainerInsightsMetricsExtension-Arc"
    assert (collection["collects"], collection["workspaceId"]) == ("metrics", ACCOUNT)
    assert found["lab-a-azuremonitor-metrics"]["configurationProtectedSettings"] == {}


def test_an_extension_by_its_type_is_given_the_same() -> None:
    logs = {"logAnalyticsWorkspaceResourceID": f"{WORKSPACE}/", "omsagent.useAADAuth": "True"}
    found = onboarded(
        {
            "extensions": [
                {"name": "l", "extensionType": "Microsoft.AzureMonitor.Containers", "configurationSettings": logs}
            ]
        }
    )
    assert found["lab-a-l-collection"]["workspaceId"] == WORKSPACE


@pytest.mark.parametrize(
    "known",
    [
        {"containerInsights": {**INSIGHTS, "settings": {"amalogs.useAADAuth": "false"}}},
        {"containerInsights": {**INSIGHTS, "settings": {"skipPrerequisites": "true"}}},
        {"containerInsights": {"logAnalyticsWorkspaceResourceID": "/w"}},
        {"azurePolicy": {}},
    ],
    ids=["with a key", "told to do without", "no workspace", "another extension"],
)
def test_who_needs_no_collection_gets_none(known: dict[str, Any]) -> None:
    found = onboarded({"knownExtensions": known})
    assert not [name for name in found if name.endswith("-collection")]
    (extension,) = (one for one in found.values() if "extensionType" in one)
    assert extension["configurationProtectedSettings"] == {}


@pytest.mark.parametrize("scope", [None, SCOPE], ids=["without", "with"])
def test_a_cluster_is_not_reached_through_azure_over_a_private_link(scope: str | None) -> None:
    found = onboarded({}, stack={"privateLinkScope": scope} if scope else {})["lab-a-connected-cluster"]
    assert found["clusterConnect"] is (scope is None)
    assert found.get("privateLinkScopeId") == scope


def test_api_servers_name_the_issuer_that_azure_answers_with_where_it_is_asked_for() -> None:
    found = onboarded({}, profiles=WORKLOADS)
    assert found["lab-a-connected-cluster"]["oidcIssuer"]["enabled"] is True
    assert found["lab-a-connected-cluster"]["workloadIdentity"] is True
    issuer = found["lab-a-token-issuer"]
    assert (issuer["issuerUrl"], issuer["signingKey"]) == ("https://issuer.example/", "PEM")
    # As azlocal 0.1.0 has it: Azure is told, and no API server.
    flags = onboarded({"oidcIssuer": {"enabled": True}, "workloadIdentity": True})
    assert flags["lab-a-connected-cluster"]["oidcIssuer"]["enabled"] is True
    assert "lab-a-token-issuer" not in flags
    assert onboarded({})["lab-a-connected-cluster"]["oidcIssuer"]["enabled"] is False
