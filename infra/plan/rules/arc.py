"""What Azure Arc asks of `arc:` (arc_facts.md §1.10, §4.1, §5, §8): found in the plan, before anything is made."""

import re
from collections import Counter
from collections.abc import Iterator

from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.arc import ClusterArc
from infra.spec.findings import KeyPath, Severity, shown
from infra.spec.forms import RESOURCE_GROUP, Form
from infra.spec.loader import InstanceSpec
from infra.spec.stack import ClusterSpec

_OID_COMMAND = "`az ad sp show --id bc313c14-388c-4e7d-a58e-70017303ee3b --query id -o tsv`"
_TAG_NAME, _TAG_VALUE, _MOST_TAGS = 512, 256, 50
_NOT_IN_A_TAG = frozenset("<>%&\\?/")
_RESOURCE_NAME = re.compile(r"[-_a-zA-Z0-9]{1,260}")


def connected(facts: Facts) -> Iterator[tuple[KeyPath, ClusterSpec, ClusterArc]]:
    """Yield every cluster that is to be connected, with the place of its `arc:`."""
    if facts.spec.stack.arc is not None:
        for path, cluster in facts.clusters:
            if cluster.arc.enabled:
                yield (*path, "arc"), cluster, cluster.arc


def not_in_form(text: str, form: Form) -> tuple[str, str]:
    """Return what to say of a text that hasn't the form it needs: the message and the remedy."""
    return f"{shown(text)} is not {form.words}", form.remedy(text)


def resource_name(spec: InstanceSpec, cluster: ClusterSpec) -> str:
    """Return what a connected cluster is called in Azure."""
    return cluster.arc.name or f"{spec.name}-{cluster.name}"


@rule("arc-subscription-missing", source="arc_facts §1.10")
def arc_subscription_missing(facts: Facts) -> Iterator[Fault]:
    """A real cloud needs a subscription; the emulator has one of its own."""
    arc = facts.spec.stack.arc
    if arc is None:
        return
    if arc.cloud != "emulator" and arc.subscription_id is None:
        message = f"cloud {arc.cloud} needs a subscription, and none is named"
        remedy = "add subscriptionId; or write cloud: emulator, a stand-in on this machine"
        yield Fault("stack", ("arc",), message, remedy)
    if arc.cloud == "emulator" and arc.subscription_id is not None:
        message = f"the emulator has a subscription of its own, and {arc.subscription_id} is named"
        yield Fault("stack", ("arc", "subscriptionId"), message, "remove subscriptionId, or name the real cloud")


@rule("arc-endpoint-missing", source="arc_facts §10.2")
def arc_endpoint_missing(facts: Facts) -> Iterator[Fault]:
    """A custom cloud says where its Resource Manager answers; the others are known."""
    arc = facts.spec.stack.arc
    if arc is None:
        return
    if arc.cloud == "custom" and arc.resource_manager is None:
        message = "cloud custom doesn't say where its Resource Manager answers"
        yield Fault(
            "stack", ("arc",), message, "add resourceManager, e.g. https://management.local.azurestack.external"
        )
    if arc.cloud != "custom" and arc.resource_manager is not None:
        message = f"resourceManager is only for cloud custom; the one of {arc.cloud} is known"
        yield Fault("stack", ("arc", "resourceManager"), message, "remove it, or write cloud: custom")


@rule("arc-without-effect", source="azlocal", severity="warning")
def arc_without_effect(facts: Facts) -> Iterator[Fault]:
    """What `arc:` asks for is done: the cluster is connected, and the cloud is one that a key is for."""
    arc = facts.spec.stack.arc
    if arc is not None and arc.emulator_address is not None and arc.cloud != "emulator":
        message = f"emulatorAddress is for cloud emulator, and the cloud is {arc.cloud}"
        yield Fault("stack", ("arc", "emulatorAddress"), message, "remove emulatorAddress")
    for path, cluster in facts.clusters:
        written = [*(extension.name for extension in cluster.arc.extensions)]
        written += [key for key, _ in cluster.arc.known_extensions.chosen()]
        written += [configuration.name for configuration in cluster.arc.flux_configurations]
        written += [location.name for location in cluster.arc.custom_locations]
        if not written or not cluster.arc.enabled or (arc is not None and cluster.provisioning == "kubernetes"):
            continue
        why = "the stack has no arc" if arc is None else "its machines get no Kubernetes (provisioning: machines)"
        message = f"cluster {cluster.name} isn't connected, for {why}: nothing becomes of {', '.join(written[:3])}"
        remedy = "add azlocal:arc, or remove the key" if arc is None else "remove the key, or provisioning"
        yield Fault("stack", (*path, "arc"), message, remedy)


@rule("arc-emulator-out-of-reach", source="azlocal")
def arc_emulator_out_of_reach(facts: Facts) -> Iterator[Fault]:
    """Clusters reach the emulator: at their gateway where their host is this machine, else at a named address."""
    arc, spec = facts.spec.stack.arc, facts.spec
    if arc is None or arc.cloud != "emulator" or arc.emulator_address is not None:
        return
    away = [host.name for host in spec.standing_hosts if not host.is_local or host.uplink is not None]
    if away and spec.stack.clusters:
        message = (
            f"the emulator runs on this machine, and the clusters on {', '.join(away)} have no gateway here "
            "through which they would reach it"
        )
        yield Fault("stack", ("arc",), message, "add emulatorAddress: an address of this machine that they reach")


@rule("arc-bad-name", source="arc_facts §1.10")
def arc_bad_name(facts: Facts) -> Iterator[Fault]:
    """A connected cluster's name has letters, digits, hyphens and underscores."""
    for path, cluster, _ in connected(facts):
        name = resource_name(facts.spec, cluster)
        if not _RESOURCE_NAME.fullmatch(name):
            message = f"{name!r} can't be the name of a connected cluster"
            yield Fault("stack", (*path, "name"), message, "use letters, digits, hyphens and underscores")


_RULES_OF_NAMES = "https://learn.microsoft.com/azure/azure-resource-manager/management"


@rule("arc-bad-resource-group", source=f"{_RULES_OF_NAMES}/resource-name-rules#microsoftresources")
def arc_bad_resource_group(facts: Facts) -> Iterator[Fault]:
    """A resource group's name has letters, digits and `_ - . ( )`, 90 at most, and ends in no dot."""
    arc = facts.spec.stack.arc
    group = arc.resource_group if arc is not None else None
    if group is not None and not RESOURCE_GROUP.fits(group):
        yield Fault("stack", ("arc", "resourceGroup"), *not_in_form(group, RESOURCE_GROUP))


@rule("arc-bad-tag", source=f"{_RULES_OF_NAMES}/tag-resources#limitations")
def arc_bad_tag(facts: Facts) -> Iterator[Fault]:
    """A resource has at most 50 tags; a name has up to 512 characters without < > % & \\ ? /, a value 256."""
    arc = facts.spec.stack.arc
    if arc is None:
        return
    places: list[tuple[KeyPath, dict[str, str], dict[str, str]]] = [(("arc", "tags"), arc.tags, {})]
    places += [((*path, "tags"), connection.tags, arc.tags) for path, _, connection in connected(facts)]
    for path, tags, others in places:
        for name, value in tags.items():
            if not 1 <= len(name) <= _TAG_NAME or set(name) & _NOT_IN_A_TAG or len(value) > _TAG_VALUE:
                message = f"{shown(name)} can't be a tag in Azure"
                remedy = f"use up to {_TAG_NAME} characters without < > % & \\ ? /, and {_TAG_VALUE} for its value"
                yield Fault("stack", (*path, name), message, remedy)
        if len({**others, **tags}) > _MOST_TAGS:
            message = f"{len({**others, **tags})} tags; a resource in Azure has {_MOST_TAGS}"
            yield Fault("stack", path, message, "remove some of them")


@rule("arc-duplicate-name", source="arc_facts §1.13")
def arc_duplicate_name(facts: Facts) -> Iterator[Fault]:
    """Two clusters are two resources; within a cluster, extensions and configurations have names of their own."""
    clusters = list(connected(facts))
    names = Counter(resource_name(facts.spec, cluster).lower() for _, cluster, _ in clusters)
    for path, cluster, arc in clusters:
        name = resource_name(facts.spec, cluster)
        if names[name.lower()] > 1:
            message = f"several clusters would be the connected cluster {name} (upper and lower case are the same)"
            yield Fault("stack", (*path, "name"), message, "give each a name of its own")
        parts = (
            ("extensions", [extension.name for extension in arc.all_extensions()]),
            ("fluxConfigurations", [configuration.name for configuration in arc.flux_configurations]),
            ("customLocations", [custom_location.name for custom_location in arc.custom_locations]),
        )
        for key, listed in parts:
            for double, count in Counter(written.lower() for written in listed).items():
                if count > 1:
                    message = f"{double} is named {count} times among {key} of cluster {cluster.name}"
                    yield Fault("stack", (*path, key), message, "name each once")


@rule("arc-features-exclude", source="arc_facts §8.3, §8.4, §8.6")
def arc_features_exclude(facts: Facts) -> Iterator[Fault]:
    """Custom locations need cluster connect, and neither goes with a private link scope."""
    scope = facts.spec.stack.arc.private_link_scope if facts.spec.stack.arc else None
    for path, cluster, arc in connected(facts):
        wanted = arc.custom_locations_feature.enabled
        if wanted and scope:
            message = (
                f"cluster {cluster.name} has custom locations and a private link scope; Azure allows one of both"
            )
            yield Fault("stack", (*path, "customLocationsFeature"), message, "switch one of them off")
        elif wanted and not arc.cluster_connect:
            message = f"custom locations of cluster {cluster.name} need clusterConnect, which is off"
            yield Fault(
                "stack", (*path, "clusterConnect"), message, "switch clusterConnect on, or the feature off"
            )
        if arc.custom_locations and not wanted:
            message = f"cluster {cluster.name} has custom locations, and their feature is off"
            needed = "" if arc.custom_locations_feature.oid else f" with oid, as {_OID_COMMAND} says it"
            remedy = f"switch customLocationsFeature on{needed}; or remove customLocations"
            yield Fault("stack", (*path, "customLocations"), message, remedy)


@rule("arc-custom-locations-oid", source="arc_facts §8.6, §9 (15)")
def arc_custom_locations_oid(facts: Facts) -> Iterator[Fault]:
    """The service principal of custom locations is named: to look it up takes rights that few have."""
    for path, cluster, arc in connected(facts):
        feature = arc.custom_locations_feature
        if feature.enabled and feature.oid is None:
            message = f"customLocationsFeature of cluster {cluster.name} has no oid"
            yield Fault("stack", (*path, "customLocationsFeature"), message, f"add oid: {_OID_COMMAND}")


@rule("arc-workload-identity-without-issuer", source="arc_facts §1.10")
def arc_workload_identity_without_issuer(facts: Facts) -> Iterator[Fault]:
    """Workload identity stands on the OIDC issuer."""
    for path, cluster, arc in connected(facts):
        if arc.workload_identity and not arc.oidc_issuer.enabled:
            message = f"workloadIdentity of cluster {cluster.name} needs the OIDC issuer, which is off"
            yield Fault("stack", (*path, "workloadIdentity"), message, "set oidcIssuer.enabled: true")


@rule("arc-unknown-extension", source="arc_facts §8.6, §9 (17)")
def arc_unknown_extension(facts: Facts) -> Iterator[Fault]:
    """A custom location offers extensions that the cluster has."""
    for path, cluster, arc in connected(facts):
        names = {extension.name for extension in arc.all_extensions()}
        for index, location in enumerate(arc.custom_locations):
            for missing in sorted(set(location.extensions) - names):
                message = f"custom location {location.name} names extension {missing}, which {cluster.name} lacks"
                remedy = f"name one of {', '.join(sorted(names))}" if names else "add the extension"
                yield Fault("stack", (*path, "customLocations", index, "extensions"), message, remedy)


@rule("arc-not-a-workspace", source="az k8s-extension", severity="warning")
def arc_not_a_workspace(facts: Facts) -> Iterator[Fault]:
    """Azure Monitor's extensions name the workspace that they collect into."""
    kinds = {"logs": "Microsoft.OperationalInsights/workspaces", "metrics": "Microsoft.Monitor/accounts"}
    for path, cluster, arc in connected(facts):
        for place, extension in arc.written_extensions():
            wanted = extension.data_collection
            if wanted is not None and not wanted.is_workspace:
                message = (
                    f"{extension.name} of cluster {cluster.name} collects nothing: {shown(wanted.workspace_id)} "
                    f"isn't the id of a {kinds[wanted.collects]}"
                )
                remedy = f"write /subscriptions/…/resourceGroups/…/providers/{kinds[wanted.collects]}/NAME"
                yield Fault("stack", (*path, *place), message, remedy)


@rule("arc-two-load-balancers", source="arc_facts §4.4")
def arc_two_load_balancers(facts: Facts) -> Iterator[Fault]:
    """Azure's MetalLB and azlocal's exclude each other: both bring the same definitions for the whole cluster.

    The emulator's stand-in brings none, so that there it is only a warning.
    """
    arc = facts.spec.stack.arc
    for path, cluster, settings in connected(facts):
        if not cluster.add_ons.metallb.enabled:
            continue
        for place, extension in settings.written_extensions():
            if extension.is_load_balancer:
                message = (
                    f"extension {extension.name} brings MetalLB into cluster {cluster.name}, and so does azlocal; "
                    "both want the same resource definitions"
                )
                remedy = "set addOns.metallb.enabled: false, or leave the extension out"
                severity: Severity = "warning" if arc is not None and arc.cloud == "emulator" else "error"
                yield Fault("stack", (*path, *place), message, remedy, severity)
