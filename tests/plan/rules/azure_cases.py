"""Instances that break a rule of Flux, extensions, custom locations, or of what Azure Local has and we haven't."""

from typing import Any

from tests.instances import cluster, host, network
from tests.plan.rules.arc_cases import OID, arranged, connected, flux, located

CONFIGURATION = "clusters[0].arc.fluxConfigurations[0]"
GIT = f"{CONFIGURATION}.gitRepository"
REFERENCE = f"{GIT}.repositoryRef"
LOCATION = "clusters[0].arc.customLocations"
EXTENSION = "clusters[0].arc.extensions[0]"
POOL = "clusters[0].agentPools[0]"
RACK = {"stack": {"deploymentClass": "rackAware"}}
ZONES = [host(1, localAvailabilityZone="a"), host(2, localAvailabilityZone="b")]


def following(**more: Any) -> dict[str, Any]:
    """Return an instance with a Flux configuration."""
    return connected({"fluxConfigurations": [flux(**more)]})


def fetching(url: str, **more: Any) -> dict[str, Any]:
    """Return an instance whose Flux configuration follows this address."""
    return following(gitRepository={"url": url, **more})


def at(**reference: str) -> dict[str, Any]:
    return fetching("https://git.example/r.git", repositoryRef=reference)


def waiting(**depends: list[str]) -> dict[str, Any]:
    """Return an instance with kustomizations that wait for others."""
    return following(kustomizations={name: {"dependsOn": others} for name, others in depends.items()})


def extended(**more: Any) -> dict[str, Any]:
    return connected({"extensions": [{"name": "x", "extensionType": "microsoft.dapr", **more}]})


def placed(*locations: dict[str, Any]) -> dict[str, Any]:
    """Return an `arc:` with custom locations."""
    return located(
        customLocations=[{"name": "cl", "namespace": "apps", "extensions": ["x"], **one} for one in locations]
    )


def pooled(**more: Any) -> dict[str, Any]:
    return {"clusters": [cluster(agentPools=[{"name": "nodepool1", "count": 1, **more}])]}


def custom(arc: dict[str, Any], version: str = "1.33.5", **stack: Any) -> dict[str, Any]:
    """Return an instance on a custom cloud."""
    cloud = {"cloud": "custom", "resourceManager": "https://arm.example", **stack}
    return arranged(cluster(arc=arc, kubernetesVersion=version), **cloud)


BAD_URLS = (
    "git@github.com/org/repo",
    "git@github.com:org/repo.git",
    "user@server:repo",
    "github.com:org/repo.git",
    "ssh://git@github.com:org/repo.git",
    "HTTPS://git.example/r.git",
    "git://git.example/r.git",
    "git+ssh://git@git.example/r.git",
    "git.example/org/repo",
    "https:///r.git",
    "https://git.example/a b.git",
    "https://git.example:99999/r.git",
    "file:///srv/repo",
    "/srv/repo",
    "",
    " https://git.example/r.git",
)
BAD_REFERENCES = ("a b", "-x", "a..b", "a~1", "x.lock", "refs/heads/", "a^", "/main", "a@{1}", "a:b", "*", ".a")

AZURE_CASES: list[tuple[str, str, dict[str, Any]]] = [
    *(("arc-flux-bad-url", f"{GIT}.url", fetching(url)) for url in BAD_URLS),
    ("arc-flux-bad-url", f"{GIT}.url", fetching("ssh://git@github.com:99999/org/repo.git")),
    ("arc-flux-bad-url", f"{GIT}.url", fetching("https://git.example:0/r.git")),
    ("arc-flux-login-in-url", f"{GIT}.url", fetching("https://me:secret@git.example/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("https://localhost/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("ssh://git@LOCALHOST.:2222/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("http://127.0.0.1:3000/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("https://[::1]/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("https://[2001:db8::9]/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("https://10.0.0.300/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("https://10.1/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("ssh://git@0x0a000001/r.git")),
    ("url-out-of-reach", f"{GIT}.url", fetching("https://0x7f.1/r.git")),
    (
        "url-out-of-reach",
        "clusters[0].arc.oidcIssuer.selfHostedIssuerUrl",
        connected({"oidcIssuer": {"enabled": True, "selfHostedIssuerUrl": "https://localhost/issuer"}}),
    ),
    ("arc-flux-reference", f"{REFERENCE}.semver", at(semver="abc")),
    ("arc-flux-reference", f"{REFERENCE}.semver", at(semver=">>1.0")),
    ("arc-flux-reference", f"{REFERENCE}.semver", at(semver="1.0 ||")),
    ("arc-flux-reference", REFERENCE, at(branch="main", tag="v1")),
    ("arc-flux-reference", REFERENCE, at(branch="main", commit="a" * 40)),
    ("arc-flux-reference", REFERENCE, at(branch="")),
    ("arc-flux-reference", REFERENCE, at()),
    *(("arc-flux-reference", f"{REFERENCE}.branch", at(branch=name)) for name in BAD_REFERENCES),
    ("arc-flux-reference", f"{REFERENCE}.tag", at(tag="v1 ")),
    ("arc-flux-short-commit", f"{REFERENCE}.commit", at(commit="363a6a8")),
    ("arc-flux-bad-name", f"{CONFIGURATION}.name", following(name="Apps")),
    ("arc-flux-bad-name", f"{CONFIGURATION}.name", following(name="-apps")),
    ("arc-flux-bad-name", f"{CONFIGURATION}.name", following(name="a..b")),
    ("arc-flux-bad-name", f"{CONFIGURATION}.namespace", following(namespace="flux.system")),
    ("arc-flux-bad-name", f"{CONFIGURATION}.namespace", following(namespace="n" * 64)),
    ("arc-flux-bad-name", f"{CONFIGURATION}.kustomizations.my_apps", following(kustomizations={"my_apps": {}})),
    ("arc-flux-bad-name", f"{GIT}.localAuthRef", fetching("https://git.example/r", localAuthRef="My_Secret")),
    ("arc-flux-dependency-circle", f"{CONFIGURATION}.kustomizations.a.dependsOn", waiting(a=["a"])),
    ("arc-flux-dependency-circle", f"{CONFIGURATION}.kustomizations.b.dependsOn", waiting(a=["b"], b=["a"])),
    (
        "arc-flux-dependency-circle",
        f"{CONFIGURATION}.kustomizations.d.dependsOn",
        waiting(a=["b"], b=["c"], c=["d"], d=["b", "e"], e=[]),
    ),
    ("arc-flux-applies-nothing", f"{CONFIGURATION}.kustomizations", following(kustomizations={})),
    ("arc-flux-credentials", f"{GIT}.httpsUser", fetching("https://git.example/r.git", httpsUser="me")),
    ("arc-flux-credentials", f"{GIT}.httpsUser", fetching("ssh://git@git.example/r.git", httpsUser="me")),
    (
        "arc-flux-credentials",
        f"{GIT}.sshKnownHostsFile",
        fetching("http://git.example/r.git", sshKnownHostsFile="known_hosts"),
    ),
    (
        "arc-flux-credentials",
        f"{CONFIGURATION}.configurationProtectedSettings",
        following(configurationProtectedSettings={"httpsKey": "k"}),
    ),
    (
        "arc-flux-credentials",
        f"{CONFIGURATION}.configurationProtectedSettings",
        following(configurationProtectedSettings={"sshPrivateKey": "k"}),
    ),
    (
        "arc-flux-credentials",
        f"{CONFIGURATION}.configurationProtectedSettings.sshPrivatekey",
        following(configurationProtectedSettings={"sshPrivatekey": "k"}),
    ),
    (
        "arc-bad-namespace",
        f"{EXTENSION}.scope.cluster.releaseNamespace",
        extended(scope={"cluster": {"releaseNamespace": "My_NS"}}),
    ),
    (
        "arc-bad-namespace",
        f"{EXTENSION}.scope.namespace.targetNamespace",
        extended(scope={"namespace": {"targetNamespace": "a.b"}}),
    ),
    ("arc-bad-namespace", f"{LOCATION}[0].namespace", connected(placed({"namespace": "Apps"}))),
    (
        "arc-extension-scope",
        f"{EXTENSION}.scope",
        extended(scope={"cluster": {}, "namespace": {"targetNamespace": "apps"}}),
    ),
    ("arc-extension-type", f"{EXTENSION}.extensionType", extended(extensionType="flux")),
    ("arc-extension-type", f"{EXTENSION}.extensionType", extended(extensionType="microsoft.fluxx")),
    ("arc-extension-type", f"{EXTENSION}.extensionType", extended(extensionType="microsoft flux")),
    (
        "arc-extension-twice",
        "clusters[0].arc.extensions[1]",
        connected(
            {
                "extensions": [
                    {"name": n, "extensionType": t} for n, t in (("x", "microsoft.dapr"), ("y", "Microsoft.Dapr"))
                ]
            }
        ),
    ),
    ("arc-bad-resource-group", "arc.resourceGroup", connected({}, resourceGroup="my group")),
    ("arc-bad-resource-group", "arc.resourceGroup", connected({}, resourceGroup="rg.")),
    ("arc-bad-tag", "arc.tags.a<b", connected({}, tags={"a<b": "c"})),
    ("arc-bad-tag", "clusters[0].arc.tags.a", connected({"tags": {"a": "v" * 257}})),
    ("arc-bad-tag", "arc.tags", connected({}, tags={f"t{n}": "" for n in range(51)})),
    ("arc-extension-version", f"{EXTENSION}.version", extended(version="latest")),
    ("arc-custom-location-name", f"{LOCATION}[0].name", connected(placed({"name": "my location"}))),
    ("arc-custom-location-name", f"{LOCATION}[0].name", connected(placed({"name": "-cl"}))),
    ("arc-custom-location-name", f"{LOCATION}[0].name", connected(placed({"name": "c" * 64}))),
    (
        "arc-custom-location-name",
        "clusters[1].arc.customLocations[0].name",
        arranged(cluster("a", arc=placed({})), cluster("b", arc=placed({"name": "CL"}))),
    ),
    ("arc-custom-location-namespace", f"{LOCATION}[1].namespace", connected(placed({}, {"name": "other"}))),
    ("arc-custom-location-empty", f"{LOCATION}[0].extensions", connected(placed({"extensions": []}))),
    ("os-sku", f"{POOL}.osSKU", pooled(osSKU="Foo")),
    ("os-sku", f"{POOL}.osSKU", pooled(osSKU="cblmariner")),
    ("os-sku", f"{POOL}.osSKU", pooled(osSKU="AzureLinux")),
    ("os-sku-of-other-type", f"{POOL}.osSKU", pooled(osSKU="Windows2022")),
    ("os-sku-of-other-type", f"{POOL}.osSKU", pooled(osSKU="CBLMariner", osType="Windows")),
    ("gpu-not-here", f"{POOL}.vmSize", pooled(vmSize="Standard_NC4_A2")),
    ("gpu-not-here", "resourceBridge.vmSize", {"stack": {"resourceBridge": {"vmSize": "Standard_NK6"}}}),
    ("gpu-default-pool", f"{POOL}.vmSize", pooled(vmSize="Standard_NC16_L40S_2")),
    (
        "instance-vm-count",
        "clusters",
        {
            "clusters": [cluster(f"c{n}", workers=60) for n in range(5)],
            "networks": [network("10.220.32.2", "10.220.34.250", addressPrefix="10.220.32.0/22")],
        },
    ),
    (
        "concurrent-creations",
        "clusters",
        {"clusters": [cluster(f"c{n}") for n in range(9)], "networks": [network("10.220.32.18", "10.220.32.90")]},
    ),
    ("windows-pool", f"{POOL}.osType", pooled(osType="Windows")),
    ("windows-pool", f"{POOL}.osSKU", pooled(osType="Windows", osSKU="Windows2019")),
    ("disconnected-limits", "clusters[0].kubernetesVersion", custom({}, version="1.32.9")),
    ("disconnected-limits", "clusters[0].arc.azureRbac.enabled", custom({"azureRbac": {"enabled": True}})),
    (
        "disconnected-limits",
        "arc.gateway",
        custom(
            {},
            gateway=f"/subscriptions/{OID}/resourceGroups/rg/providers/Microsoft.HybridCompute/gateways/g",
        ),
    ),
    ("rack-aware-zones", "hosts[1]", {"hosts": [ZONES[0], host(2)], **RACK}),
    ("rack-aware-zones", "hosts", {"hosts": [ZONES[0], host(2, localAvailabilityZone="a")], **RACK}),
    (
        "rack-aware-zones",
        "hosts",
        {"hosts": [*ZONES, *(host(n, localAvailabilityZone="a") for n in (3, 4))], **RACK},
    ),
    ("rack-aware-zones", "hosts[0].localAvailabilityZone", {"hosts": ZONES}),
    ("rack-aware-zones", "hosts", {"hosts": [host(1), host(2)], **RACK}),
    (
        "rack-aware-control-plane",
        "clusters[0].controlPlane.count",
        {"clusters": [cluster(planes=3)], "hosts": [host(n) for n in range(1, 9)], **RACK},
    ),
]

FLUX_SOUND: list[dict[str, Any]] = [
    # what Azure's client and Flux take
    fetching("ssh://git@github.com/org/repo.git"),
    fetching("ssh://git@github.com:22/org/repo.git"),
    fetching("ssh://server/repo"),
    fetching("http://git.example:8080/r"),
    fetching("https://user@git.example/r.git"),
    fetching("https://dev.azure.com/org/project/_git/repo"),
    at(branch="feature/x.y_z-1"),
    at(tag="v1.0.0"),
    *(
        at(semver=text)
        for text in (">=3.1.0-rc.1 <3.2.0", "1.x", "*", "~1.2", "^v2.0.0-0", ">=1, <2 || 3.1 - 4", "!=1.0.1+a")
    ),
    at(commit="363a6a8fe6a7f13e05d34c163b0ef02a777da20a"),
    following(name="apps.v1", namespace="flux-config", scope="namespace"),
    waiting(a=[], b=["a"], c=["a", "b"], d=["c", "a"]),
    following(
        gitRepository={"url": "https://git.example/r.git", "httpsUser": "me"},
        configurationProtectedSettings={"httpsKey": "k"},
    ),
    following(
        gitRepository={"url": "ssh://git@git.example/r.git", "sshKnownHostsFile": __file__},
        configurationProtectedSettings={"sshPrivateKey": "k"},
    ),
    extended(extensionType="Microsoft.PolicyInsights", version="1.3.0"),
    extended(extensionType="contoso.backup", scope={"namespace": {"targetNamespace": "apps"}}),
    connected(placed({"name": "My_location-1"}, {"name": "b", "namespace": "other"})),
    pooled(osSKU="CBLMariner"),
    {"hosts": ZONES, **RACK},
    custom({}, version="1.33.5"),
    {"networks": [network(ipPools=[{"start": "10.220.32.18", "end": "10.220.32.30", "ipPoolType": "vippool"}])]}
    | {"clusters": [cluster()]},
]
