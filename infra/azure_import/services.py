"""What stands on a cluster: addresses of services, extensions, Flux configurations, by our keys."""

from __future__ import annotations

from typing import Any, Final

from infra.azure_import.collect import AzureCluster
from infra.azure_import.report import NO_PLACE, NOT_MISSED, Report
from infra.azure_import.resources import Resource
from infra.azure_import.things import Thing, unread
from infra.azure_import.written import Written
from infra.export.above import secret_name
from infra.spec.arc import GitRepository, Kustomization, RepositoryRef
from infra.spec.arc_extensions import NETWORKING_TYPE
from infra.spec.types import Model

_ARM: Final[dict[str, Any]] = dict.fromkeys(
    (
        *(
            "id",
            "name",
            "type",
            "systemData",
            "resourceGroup",
            "identity",
            "provisioningState",
            "statuses",
            "status",
        ),
        *("errorInfo", "errorMessage", "dependsOn", "scope"),  # Bicep's own, on a resource
    )
)
_EXTENSION: Final[dict[str, Any]] = {
    **_ARM,
    **dict.fromkeys(
        (
            *("extensionType", "releaseTrain", "version", "autoUpgradeMinorVersion", "configurationSettings"),
            *("configurationProtectedSettings", "currentVersion", "installedVersion", "isSystemExtension"),
            *("packageUri", "aksAssignedIdentity", "customLocationSettings", "extensionState", "autoUpgradeMode"),
        )
    ),
}
_FLUX: Final[dict[str, Any]] = {
    **_ARM,
    **dict.fromkeys(
        (
            *("namespace", "sourceKind", "suspend", "configurationProtectedSettings", "complianceState"),
            *("repositoryPublicKey", "sourceSyncedCommitId", "sourceUpdatedAt", "statusUpdatedAt"),
            *("waitForReconciliation", "reconciliationWaitDuration"),
        )
    ),
    "gitRepository": {
        **dict.fromkeys(
            ("url", "syncIntervalInSeconds", "timeoutInSeconds", "httpsUser", "localAuthRef", "repositoryRef")
        ),
    },
    "kustomizations": None,
}
_BALANCER: Final[dict[str, Any]] = {**_ARM, "addresses": None, "advertiseMode": None}
_IN_A_FILE: Final = "it is in a file of its own here"
_REASONS: Final = {
    "httpscacert": (
        _IN_A_FILE,
        "write what it has in base64 to a file, and its name at gitRepository.httpsCAFile",
    ),
    "sshknownhosts": (_IN_A_FILE, "write it to a file, and that file's name at gitRepository.sshKnownHostsFile"),
    "serviceselector": ("every service of type LoadBalancer gets an address here", NOT_MISSED),
    "bgppeers": ("addresses are announced by ARP here", NOT_MISSED),
}
_GIT: Final = "gitrepository"


def write_services(cluster: AzureCluster, made: Written, arc: Written, report: Report) -> None:
    """Write what stands on a cluster.

    Args:
        cluster: The cluster in Azure.
        made: The cluster here.
        arc: Its `arc:` so far.
        report: What is told of what is lost.
    """
    made.add("loadBalancer", _balancer(cluster, report))
    arc.add_list(
        "extensions",
        [_extension(cluster, resource, report) for resource in cluster.extensions if _is_wanted(resource)],
    )
    sources = [(resource, resource.properties.text("sourceKind") or "GitRepository") for resource in cluster.flux]
    for resource, kind in sources:
        if kind.lower() != _GIT:
            message = f"Flux configuration {resource.name} of cluster {cluster.name} has a {kind} as its source"
            report.say(
                "import-not-modelled", resource.thing, message, "leave it out: Git repositories alone are followed"
            )
    git = [resource for resource, kind in sources if kind.lower() == _GIT]
    arc.add_list("fluxConfigurations", [_flux(cluster, resource, report) for resource in git])
    made.add("arc", arc)


def _balancer(cluster: AzureCluster, report: Report) -> Written:
    made, addresses = Written(), []
    for balancer in cluster.balancers:
        addresses += balancer.properties.items("addresses")
        mode = balancer.properties.get("advertiseMode")
        if mode is not None and str(mode.value).upper() != "ARP":
            message = (
                f"load balancer {balancer.name} of cluster {cluster.name} announces by {mode.value}: ARP here"
            )
            report.say(
                "import-left-out", mode, message, "nothing to do, if the addresses are in the nodes' subnet"
            )
        _say_lost(balancer, _BALANCER, f"load balancer {balancer.name}", cluster, report)
    made.put("addresses", [resource.plain for resource in addresses])
    made.origins |= {("addresses", number): resource.where for number, resource in enumerate(addresses)}
    return made


def _is_wanted(extension: Resource) -> bool:
    """Tell whether an extension is a person's: Azure brings its own, and MetalLB's is azlocal's add-on here."""
    system = extension.properties.get("isSystemExtension")
    is_networking = (extension.properties.text("extensionType") or "").lower() == NETWORKING_TYPE
    return not is_networking and (system is None or system.value is not True)


def _extension(cluster: AzureCluster, extension: Resource, report: Report) -> Written:
    made, own = Written(), extension.properties
    made.put("name", extension.name, extension.thing)
    made.take_each(own, ("extensionType", "releaseTrain"))
    upgrades = own.get("autoUpgradeMinorVersion")
    if upgrades is not None and upgrades.value is False:
        made.take("version", own.get("version"))
    scope = Written()
    for kind, key in (("cluster", "releaseNamespace"), ("namespace", "targetNamespace")):
        part = Written()
        part.take(key, own.get("scope", kind, key))
        scope.add(kind, part)
    made.add("scope", scope)
    made.take("configurationSettings", own.get("configurationSettings"))
    _protected(cluster, extension, made, report)
    _say_lost(extension, _EXTENSION, f"extension {extension.name}", cluster, report)
    return made


def _flux(cluster: AzureCluster, flux: Resource, report: Report) -> Written:
    made, own = Written(), flux.properties
    made.put("name", flux.name, flux.thing)
    made.take_each(own, ("namespace", "suspend"))
    scope = own.get("scope")
    if scope is not None and isinstance(scope.value, str):
        made.put("scope", scope.value.lower(), scope)
    git = _by_model(own.get("gitRepository"), GitRepository, ("repositoryRef",))
    git.add("repositoryRef", _by_model(own.get("gitRepository", "repositoryRef"), RepositoryRef))
    made.add("gitRepository", git)
    steps = Written()
    for name, step in own.entries("kustomizations"):
        steps.value[name] = {}
        steps.add(name, _by_model(step, Kustomization))
        known = {**dict.fromkeys(_aliases(Kustomization)), "name": None}
        for path, lost in unread(step, known):
            _say(lost, str(path[-1]), f"Flux configuration {flux.name}", cluster, report)
    made.add("kustomizations", steps)
    _protected(cluster, flux, made, report)
    _say_lost(flux, _FLUX, f"Flux configuration {flux.name}", cluster, report)
    return made


def _aliases(model: type[Model]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _by_model(thing: Thing | None, model: type[Model], but: tuple[str, ...] = ()) -> Written:
    """Return what one of our models has of an object: its keys are Azure's."""
    made = Written()
    if thing is not None:
        made.take_each(thing, [key for key in _aliases(model) if key not in but])
    return made


def _protected(cluster: AzureCluster, resource: Resource, made: Written, report: Report) -> None:
    """Write which protected settings there are, each with the name of a secret that a person gives."""
    settings: dict[str, str] = {}
    for key, value in _named(resource.properties.get("configurationProtectedSettings")):
        known = secret_name(str(value.value)) if value.value is not None else None
        settings[key] = known or f"{cluster.name}-{resource.name}-{key}"
    if not settings:
        return
    made.put("configurationProtectedSettings", settings, resource.properties.get("configurationProtectedSettings"))
    listed = ", ".join(f"arc:{name}" for name in settings.values())
    message = f"Azure doesn't show the protected settings of {resource.name}: the stack needs {listed}"
    report.say(
        "import-secret",
        resource.thing,
        message,
        "give each: `pulumi config set --secret arc:NAME`, with its value",
    )


def _named(thing: Thing | None) -> list[tuple[str, Thing]]:
    return list(thing.value.items()) if thing is not None and isinstance(thing.value, dict) else []


def _say_lost(resource: Resource, known: dict[str, Any], what: str, cluster: AzureCluster, report: Report) -> None:
    for path, lost in unread(resource.thing, {**known, "properties": known}):
        _say(lost, str(path[-1]), what, cluster, report)


def _say(lost: Thing, key: str, what: str, cluster: AzureCluster, report: Report) -> None:
    why, remedy = _REASONS.get(key.lower(), (NO_PLACE, NOT_MISSED))
    report.lose(lost, key, f"{what} of cluster {cluster.name}", why, remedy)
