"""Instances that break a rule of Azure Arc."""

from typing import Any

from tests.instances import cluster, host

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.HybridCompute/privateLinkScopes/s"
OID = "00000000-0000-0000-0000-000000000002"
EXTENSION = {"name": "x", "extensionType": "microsoft.flux"}
METRICS = {
    "name": "m",
    "extensionType": "Microsoft.AzureMonitor.Containers.Metrics",
    "configurationSettings": {"azure-monitor-workspace-resource-id": SCOPE},
}
GIT = {"gitRepository": {"url": "https://git.example/r.git"}}


def connected(arc: dict[str, Any] | None = None, **stack: Any) -> dict[str, Any]:
    """Return an instance whose one cluster has this `arc:`, connected to a real cloud."""
    return arranged(cluster(arc=arc or {}), **stack)


def arranged(*clusters: dict[str, Any], **stack: Any) -> dict[str, Any]:
    """Return an instance with these clusters, connected to a real cloud."""
    return {"clusters": list(clusters), "stack": {"arc": {"subscriptionId": SUBSCRIPTION, **stack}}}


def flux(**more: Any) -> dict[str, Any]:
    """Return a Flux configuration."""
    return {"name": "f", "gitRepository": {"url": "https://git.example/r.git"}, **more}


def located(**more: Any) -> dict[str, Any]:
    """Return an `arc:` with a custom location."""
    location = {"name": "cl", "namespace": "apps", "extensions": ["x"]}
    feature = {"enabled": True, "oid": OID}
    return {"customLocations": [location], "customLocationsFeature": feature, "extensions": [EXTENSION], **more}


ARC_CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("arc-subscription-missing", "arc", {"clusters": [cluster()], "stack": {"arc": {}}}),
    ("arc-subscription-missing", "arc.subscriptionId", connected(cloud="emulator")),
    ("arc-endpoint-missing", "arc", connected(cloud="custom")),
    ("arc-endpoint-missing", "arc.resourceManager", connected(resourceManager="https://x.example")),
    (
        "arc-emulator-out-of-reach",
        "arc",
        {"clusters": [cluster()], "hosts": [host()], "stack": {"arc": {"cloud": "emulator"}}},
    ),
    ("arc-bad-name", "clusters[0].arc.name", connected({"name": "a b"})),
    (
        "arc-duplicate-name",
        "clusters[1].arc.name",
        arranged(cluster("a", arc={"name": "X"}), cluster("b", arc={"name": "x"})),
    ),
    ("arc-duplicate-name", "clusters[0].arc.extensions", connected({"extensions": [EXTENSION, EXTENSION]})),
    (
        "arc-features-exclude",
        "clusters[0].arc.customLocationsFeature",
        connected(located(), privateLinkScope=SCOPE),
    ),
    ("arc-features-exclude", "clusters[0].arc.clusterConnect", connected(located(clusterConnect=False))),
    (
        "arc-features-exclude",
        "clusters[0].arc.customLocations",
        connected(located(customLocationsFeature={"enabled": False})),
    ),
    (
        "arc-custom-locations-oid",
        "clusters[0].arc.customLocationsFeature",
        connected(located(customLocationsFeature={"enabled": True})),
    ),
    (
        "arc-workload-identity-without-issuer",
        "clusters[0].arc.workloadIdentity",
        connected({"workloadIdentity": True}),
    ),
    (
        "arc-unknown-extension",
        "clusters[0].arc.customLocations[0].extensions",
        connected(located(extensions=[])),
    ),
    (
        "arc-flux-name-too-long",
        "clusters[0].arc.fluxConfigurations[0]",
        connected({"fluxConfigurations": [flux(kustomizations={"k" * 62: {}})]}),
    ),
    (
        "arc-flux-unknown-dependency",
        "clusters[0].arc.fluxConfigurations[0].kustomizations.one",
        connected({"fluxConfigurations": [flux(kustomizations={"one": {"dependsOn": ["two"]}})]}),
    ),
    (
        "arc-not-a-workspace",
        "clusters[0].arc.knownExtensions.containerInsights",
        connected({"knownExtensions": {"containerInsights": {"logAnalyticsWorkspaceResourceID": "/w"}}}),
    ),
    (
        "arc-not-a-workspace",
        "clusters[0].arc.extensions[0]",
        connected({"extensions": [METRICS]}),
    ),
    (
        "arc-two-load-balancers",
        "clusters[0].arc.knownExtensions.networking",
        connected({"knownExtensions": {"networking": {"k8sRuntimeFpaObjectId": OID}}}),
    ),
    (
        "arc-two-load-balancers",
        "clusters[0].arc.extensions[0]",
        connected({"extensions": [{"name": "n", "extensionType": "Microsoft.ArcNetworking"}]}),
    ),
    (
        "arc-two-load-balancers",
        "clusters[0].arc.extensions[0]",
        {
            "clusters": [cluster(arc={"extensions": [{"name": "n", "extensionType": "microsoft.arcnetworking"}]})],
            "stack": {"arc": {"cloud": "emulator", "emulatorAddress": "192.0.2.9"}},
        },
    ),
]
