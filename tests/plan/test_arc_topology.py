"""What becomes of `arc:`: names, regions, tags, proxies, extensions; and where the emulator is reached."""

from __future__ import annotations

from typing import Any

import pytest

from infra.plan.arc_topology import ConnectedCluster, arc_of, connected_cluster_of
from infra.spec import InstanceSpec
from infra.stack.arc import ClusterOfStack
from tests.instances import cluster, make_spec
from tests.plan.rules.arc_cases import SUBSCRIPTION, flux

SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.HybridCompute/privateLinkScopes/s"
PROXY = {"httpsProxy": "http://proxy.example:3128", "noProxy": ["intern.example"]}


def spec_of(
    arc: dict[str, Any] | None = None, *, stack: dict[str, Any] | None = None, **more: Any
) -> InstanceSpec:
    return make_spec(
        cluster(arc=arc or {}, **more.pop("of_cluster", {})),
        stack={"arc": {"subscriptionId": SUBSCRIPTION, **(stack or {})}, **more.pop("keys", {})},
        **more,
    )


def connected(spec: InstanceSpec) -> ConnectedCluster:
    found = connected_cluster_of(spec, spec.stack.clusters[0])
    assert found is not None
    return found


def test_names_are_the_instances_unless_they_are_written() -> None:
    assert (connected(spec_of()).name, connected(spec_of()).location) == ("lab-a", "eastus")
    written = connected(spec_of({"name": "mine", "location": "westeurope"}))
    assert (written.name, written.location) == ("mine", "westeurope")
    arc = arc_of(spec_of())
    assert arc is not None
    assert (arc.resource_group, arc.emulator_address) == ("lab", None)


def test_a_clusters_tags_lie_over_the_stacks() -> None:
    tags = connected(spec_of({"tags": {"a": "cluster"}}, stack={"tags": {"a": "stack", "b": "stack"}})).tags
    assert tags == {"a": "cluster", "b": "stack"}


def test_the_clusters_own_networks_are_reached_without_the_proxy() -> None:
    proxy = connected(spec_of(netplan={"proxy": PROXY})).proxy
    assert proxy is not None
    assert proxy.no_proxy == (
        *("intern.example", "10.96.0.0/12", "10.244.0.0/16"),
        *("kubernetes.default.svc", ".svc.cluster.local", ".svc"),
    )


@pytest.mark.parametrize(
    ("scope", "written", "expected"), [(None, True, True), (SCOPE, True, False), (None, False, False)]
)
def test_a_private_link_excludes_that_a_cluster_is_reached_through_azure(
    scope: str | None, written: bool, expected: bool
) -> None:
    spec = spec_of({"clusterConnect": written}, stack={"privateLinkScope": scope} if scope else {})
    assert connected(spec).cluster_connect is expected
    arc = arc_of(spec)
    assert arc is not None
    assert ClusterOfStack(spec, "a", arc, connected(spec)).settings.cluster_connect is expected


@pytest.mark.parametrize(
    "spec",
    [
        make_spec(cluster()),
        spec_of({"enabled": False}),
        spec_of(of_cluster={"provisioning": "machines"}),
    ],
    ids=["no Azure", "switched off", "no Kubernetes"],
)
def test_who_is_not_connected(spec: InstanceSpec) -> None:
    assert connected_cluster_of(spec, spec.stack.clusters[0]) is None


def test_gitops_brings_flux_once() -> None:
    assert [
        one.name for one in connected(spec_of({"fluxConfigurations": [flux(), flux(name="g")]})).extensions
    ] == ["flux"]
    own = {"name": "mine", "extensionType": "Microsoft.Flux"}
    found = connected(spec_of({"extensions": [own], "fluxConfigurations": [flux()]})).extensions
    assert [one.name for one in found] == ["mine"]


def test_the_emulator_is_reached_at_the_gateway_or_where_it_is_written() -> None:
    local = {"connection": "qemu:///system"}
    for written, expected in (({}, "10.220.32.1"), ({"emulatorAddress": "192.0.2.9"}, "192.0.2.9")):
        spec = make_spec(
            cluster(), stack={"arc": {"cloud": "emulator", **written}}, hosts=[{"name": "here", **local}]
        )
        arc = arc_of(spec)
        assert arc is not None
        assert (arc.is_emulated, str(arc.emulator_address)) == (True, expected)


KNOWN: list[tuple[dict[str, Any], str, str, dict[str, str]]] = [
    (
        {"containerInsights": {"logAnalyticsWorkspaceResourceID": "/w"}},
        "microsoft.azuremonitor.containers",
        "azuremonitor-containers",
        {"logAnalyticsWorkspaceResourceID": "/w", "amalogs.useAADAuth": "true"},
    ),
    (
        {"managedPrometheus": {"azureMonitorWorkspaceResourceId": "/m"}},
        "microsoft.azuremonitor.containers.metrics",
        "kube-system",
        {"azure-monitor-workspace-resource-id": "/m"},
    ),
    ({"azurePolicy": {}}, "microsoft.policyinsights", "kube-system", {}),
    ({"defender": {}}, "microsoft.azuredefender.kubernetes", "mdc", {}),
    (
        {"keyVaultSecretsProvider": {"enableSecretRotation": True, "settings": {"more": "x"}}},
        "microsoft.azurekeyvaultsecretsprovider",
        "kube-system",
        {
            "secrets-store-csi-driver.enableSecretRotation": "true",
            "secrets-store-csi-driver.syncSecret.enabled": "false",
            "more": "x",
        },
    ),
    ({"flux": {"multiTenancy": False}}, "microsoft.flux", "flux-system", {"multiTenancy.enforce": "false"}),
    (
        {"networking": {"k8sRuntimeFpaObjectId": "00000000-0000-0000-0000-000000000009"}},
        "microsoft.arcnetworking",
        "kube-system",
        {"k8sRuntimeFpaObjectId": "00000000-0000-0000-0000-000000000009"},
    ),
]


@pytest.mark.parametrize(
    ("known", "kind", "namespace", "settings"), KNOWN, ids=[next(iter(one[0])) for one in KNOWN]
)
def test_the_usual_extensions_by_what_they_are(
    known: dict[str, Any], kind: str, namespace: str, settings: dict[str, str]
) -> None:
    (extension,) = connected(spec_of({"knownExtensions": known})).extensions
    assert extension.extension_type == kind
    assert extension.scope.cluster is not None
    assert extension.scope.cluster.release_namespace == namespace
    assert extension.configuration_settings == settings
