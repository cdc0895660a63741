"""Instances that break a rule of Azure Arc."""

from typing import Any

from infra.plan.rules.arc_ids import CUSTOM_LOCATIONS_APP, KUBERNETES_RUNTIME_APP
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
SSH_GIT = {"url": "ssh://git@git.example/r.git", "sshKnownHostsFile": "no-such-file"}
WORKLOADS: dict[str, Any] = {
    "oidcIssuerProfile": {"enabled": True},
    "securityProfile": {"workloadIdentity": {"enabled": True}},
}
NO_REGIONS = ("Moon", "eastus9", "us-east-1", "europe-west1", "global", "local", "east-us")
OF_ANOTHER_CLOUD = (
    ("AzureCloud", "usgovvirginia"),
    ("AzureCloud", "China North 3"),
    ("AzureUSGovernment", "eastus"),
    ("AzureChinaCloud", "westeurope"),
)
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


def somewhere(place: str, **stack: Any) -> dict[str, Any]:
    """Return an instance in a region."""
    return {"stack": {"location": place, "arc": {"subscriptionId": SUBSCRIPTION, **stack}}}


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
    ("arc-without-effect", "arc.emulatorAddress", connected(emulatorAddress="10.9.9.9")),
    ("arc-without-effect", "clusters[0].arc", {"clusters": [cluster(arc={"extensions": [EXTENSION]})]}),
    (
        "arc-without-effect",
        "clusters[0].arc",
        arranged(cluster(provisioning="machines", arc={"knownExtensions": {"azurePolicy": {}}})),
    ),
    ("arc-bad-name", "clusters[0].arc.name", connected({"name": "a b"})),
    *(("unknown-region", "location", {"stack": {"location": name}}) for name in NO_REGIONS),
    *(("unknown-region", "location", somewhere(place, cloud=cloud)) for cloud, place in OF_ANOTHER_CLOUD),
    ("unknown-region", "clusters[0].arc.location", connected({"location": "Moon"})),
    ("region-without-clusters", "location", somewhere("uaecentral")),
    ("region-without-clusters", "clusters[0].arc.location", connected({"location": "Brazil South"})),
    (
        "region-without-clusters",
        "location",
        {"stack": {"location": "brazilsouth", "arc": {"cloud": "emulator", "emulatorAddress": "10.0.0.9"}}},
    ),
    (
        "arc-application-id",
        "clusters[0].arc.customLocationsFeature.oid",
        connected({"customLocationsFeature": {"enabled": True, "oid": CUSTOM_LOCATIONS_APP.upper()}}),
    ),
    (
        "arc-application-id",
        "clusters[0].arc.knownExtensions.networking.k8sRuntimeFpaObjectId",
        {
            **connected(),
            "clusters": [
                cluster(
                    addOns={"metallb": {"enabled": False}},
                    arc={"knownExtensions": {"networking": {"k8sRuntimeFpaObjectId": KUBERNETES_RUNTIME_APP}}},
                )
            ],
        },
    ),
    ("arc-unknown-kind", "clusters[0].arc.distribution", connected({"distribution": "kubeadm"})),
    ("arc-unknown-kind", "clusters[0].arc.infrastructure", connected({"infrastructure": "azure-stack-hci"})),
    (
        "arc-named-twice",
        "clusters[0].arc.customLocations[0].extensions",
        connected(located(customLocations=[{"name": "cl", "namespace": "apps", "extensions": ["x", "x"]}])),
    ),
    ("file-not-here", "arc.caFile", connected(caFile="no-such.pem")),
    ("file-not-here", "arc.proxyCaFile", connected(proxyCaFile="~nobody-of-that-name/ca.pem")),
    (
        "file-not-here",
        "clusters[0].arc.fluxConfigurations[0].gitRepository.sshKnownHostsFile",
        connected({"fluxConfigurations": [flux(gitRepository=SSH_GIT)]}),
    ),
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
    *(
        ("workload-identity-without-arc", f"clusters[0].{place}", unconnected)
        for place in ("oidcIssuerProfile", "securityProfile")
        for unconnected in (
            {"clusters": [cluster(**WORKLOADS)]},
            arranged(cluster(arc={"enabled": False}, **WORKLOADS)),
            arranged(cluster(provisioning="machines", **WORKLOADS)),
        )
    ),
    (
        "workload-identity-without-issuer",
        "clusters[0].securityProfile",
        arranged(cluster(securityProfile=WORKLOADS["securityProfile"])),
    ),
    (
        "issuer-published-twice",
        "clusters[0].arc.oidcIssuer.selfHostedIssuerUrl",
        arranged(cluster(arc={"oidcIssuer": {"selfHostedIssuerUrl": "https://issuer.example/"}}, **WORKLOADS)),
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
