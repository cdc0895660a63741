"""Extensions and custom locations: what Azure's client, or Azure, refuses, found in the plan.

Sources: `az k8s-extension` and `az customlocation` are Azure/azure-cli-extensions, src/k8s-extension and
src/customlocation; a custom location's name is azure-mgmt-extendedlocation's, which is pinned; arc_facts.md §4.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from infra.plan.rules.arc import connected, not_in_form
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.arc_extensions import EXTENSION_TYPES, ExtensionSpec
from infra.spec.findings import KeyPath, shown
from infra.spec.forms import CUSTOM_LOCATION_NAME, NAMESPACE
from infra.spec.near import nearest

_VERSION = re.compile(r"\d+(\.\d+){1,3}([-+.][0-9A-Za-z.+-]+)?", re.ASCII)
_TYPE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9]*(\.[A-Za-z0-9][-A-Za-z0-9]*)+", re.ASCII)


def _extensions(facts: Facts) -> Iterator[tuple[KeyPath, ExtensionSpec]]:
    for path, _, arc in connected(facts):
        for place, extension in arc.written_extensions():
            yield (*path, *place), extension


@rule("arc-bad-namespace", source="RFC 1123; Kubernetes: a namespace's name is a DNS label")
def arc_bad_namespace(facts: Facts) -> Iterator[Fault]:
    """Namespaces of extensions and custom locations have names that Kubernetes takes."""
    named: list[tuple[KeyPath, str | None]] = []
    for path, extension in _extensions(facts):
        cluster, namespace = extension.scope.cluster, extension.scope.namespace
        named.append(
            ((*path, "scope", "cluster", "releaseNamespace"), cluster.release_namespace if cluster else None)
        )
        named.append(
            ((*path, "scope", "namespace", "targetNamespace"), namespace.target_namespace if namespace else None)
        )
    for path, _, arc in connected(facts):
        places = enumerate(arc.custom_locations)
        named += [
            ((*path, "customLocations", index, "namespace"), location.namespace) for index, location in places
        ]
    for place, name in named:
        if name is not None and not NAMESPACE.fits(name):
            yield Fault("stack", place, *not_in_form(name, NAMESPACE))


@rule("arc-extension-scope", source="az k8s-extension: validate_scope_and_namespace")
def arc_extension_scope(facts: Facts) -> Iterator[Fault]:
    """An extension serves the cluster or one namespace, not both."""
    for path, extension in _extensions(facts):
        if extension.scope.cluster is not None and extension.scope.namespace is not None:
            message = f"extension {extension.name} has the scope of a cluster and of a namespace"
            yield Fault("stack", (*path, "scope"), message, "keep cluster or namespace, and remove the other")


@rule("arc-extension-type", source="arc_facts §4.2; az k8s-extension", severity="warning")
def arc_extension_type(facts: Facts) -> Iterator[Fault]:
    """An extension's type is `publisher.name`; those that are known here are Microsoft's own."""
    for path, extension in _extensions(facts):
        kind = extension.extension_type.lower()
        near = nearest(kind, sorted(EXTENSION_TYPES), 0.85)
        if kind in EXTENSION_TYPES or (_TYPE.fullmatch(kind) and not (near and kind.startswith("microsoft."))):
            continue
        message = f"no extension type {shown(extension.extension_type)} is known"
        own = f"microsoft.{kind}"
        better = own if own in EXTENSION_TYPES else near or "publisher.name, e.g. microsoft.flux"
        yield Fault("stack", (*path, "extensionType"), message, f"write {better}")


@rule(
    "arc-extension-twice",
    source="https://learn.microsoft.com/azure/azure-arc/kubernetes/conceptual-extensions#extension-scope",
    severity="warning",
)
def arc_extension_twice(facts: Facts) -> Iterator[Fault]:
    """A cluster has one extension of a type that serves all of it; only those of namespaces can be several."""
    for path, cluster, arc in connected(facts):
        seen: dict[str, str] = {}
        for place, extension in arc.written_extensions():
            if extension.scope.namespace is not None:
                continue
            first = seen.setdefault(extension.extension_type.lower(), extension.name)
            if first != extension.name:
                message = (
                    f"{extension.name} and {first} of cluster {cluster.name} are both {extension.extension_type}"
                )
                yield Fault("stack", (*path, *place), message, "name one extension of the type")


@rule("arc-extension-version", source="arc_facts §4.1, §9 (31)", severity="warning")
def arc_extension_version(facts: Facts) -> Iterator[Fault]:
    """An extension's version is one version, in digits; absent, Azure takes the newest and keeps it so."""
    for path, extension in _extensions(facts):
        version = extension.version
        if version is not None and not _VERSION.fullmatch(version):
            message = f"{shown(version)} is no version of an extension"
            remedy = "write digits with dots, e.g. 1.17.3; or remove the key for the newest"
            yield Fault("stack", (*path, "version"), message, remedy)


@rule("arc-custom-location-name", source="azure-mgmt-extendedlocation: CustomLocationsOperations")
def arc_custom_location_name(facts: Facts) -> Iterator[Fault]:
    """A custom location is a resource: its name has Azure's form, and is the only one in its resource group."""
    seen: dict[str, str] = {}
    for path, cluster, arc in connected(facts):
        for index, location in enumerate(arc.custom_locations):
            place = (*path, "customLocations", index, "name")
            if not CUSTOM_LOCATION_NAME.fits(location.name):
                yield Fault("stack", place, *not_in_form(location.name, CUSTOM_LOCATION_NAME))
            first = seen.setdefault(location.name.lower(), cluster.name)
            if first != cluster.name:
                message = f"{location.name} is a custom location of cluster {first} already, in one resource group"
                yield Fault("stack", place, message, "give each a name of its own")


@rule("arc-custom-location-namespace", source="arc_facts §8.6; az customlocation create")
def arc_custom_location_namespace(facts: Facts) -> Iterator[Fault]:
    """A namespace of a cluster is one custom location's."""
    for path, cluster, arc in connected(facts):
        owners: dict[str, list[str]] = defaultdict(list)
        for index, location in enumerate(arc.custom_locations):
            if owners[location.namespace]:
                message = (
                    f"namespace {location.namespace} of cluster {cluster.name} "
                    f"is {owners[location.namespace][0]}'s already"
                )
                place = (*path, "customLocations", index, "namespace")
                yield Fault("stack", place, message, "give each custom location a namespace of its own")
            owners[location.namespace].append(location.name)


@rule("arc-custom-location-empty", source="az customlocation create: --cluster-extension-ids is required")
def arc_custom_location_empty(facts: Facts) -> Iterator[Fault]:
    """A custom location offers the services of an extension."""
    for path, _, arc in connected(facts):
        names = ", ".join(sorted(extension.name for extension in arc.all_extensions()))
        for index, location in enumerate(arc.custom_locations):
            if not location.extensions:
                remedy = f"name one of {names}" if names else "add an extension, and name it"
                message = f"custom location {location.name} names no extension"
                yield Fault("stack", (*path, "customLocations", index, "extensions"), message, remedy)
