"""Ids and words of Azure's in `arc:` that have the right form and name the wrong thing, found in the plan.

Sources: Azure/azure-cli-extensions, src/connectedk8s/azext_connectedk8s (_validators.py, _constants.py);
arc_facts.md §1.5, §4.4, §8.6. ARM itself takes any distribution and infrastructure, so those are warnings.
"""

from collections.abc import Iterator

from infra.plan.rules.arc import connected
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.near import nearest

CUSTOM_LOCATIONS_APP = "bc313c14-388c-4e7d-a58e-70017303ee3b"
KUBERNETES_RUNTIME_APP = "087fca6e-4606-4d41-b3f6-5ebdf75b8b4c"
DISTRIBUTIONS = (
    *("generic", "openshift", "rancher_rke", "kind", "k3s", "minikube", "gke", "eks", "aks", "aks_management"),
    *("aks_workload", "capz", "aks_engine", "tkg", "canonical", "karbon", "aks_edge_k3s", "aks_edge_k8s"),
)
INFRASTRUCTURES = (
    *("generic", "azure", "aws", "gcp", "azure_stack_hci", "azure_stack_hub", "azure_stack_edge", "vsphere"),
    "windows_server",
)


@rule("arc-application-id", source="arc_facts §4.4, §8.6")
def arc_application_id(facts: Facts) -> Iterator[Fault]:
    """Where the object id of a service principal belongs stands no id of its application, one for all tenants."""
    for path, _, arc in connected(facts):
        networking = arc.known_extensions.networking
        places: list[tuple[KeyPath, str | None, str]] = [
            ((*path, "customLocationsFeature", "oid"), arc.custom_locations_feature.oid, CUSTOM_LOCATIONS_APP),
            (
                (*path, "knownExtensions", "networking", "k8sRuntimeFpaObjectId"),
                networking.k8s_runtime_fpa_object_id if networking else None,
                KUBERNETES_RUNTIME_APP,
            ),
        ]
        for place, written, application in places:
            if written is not None and written.lower() == application:
                message = (
                    f"{written} is the application's id, and the object id of its service principal is needed"
                )
                remedy = f"write what `az ad sp show --id {application} --query id -o tsv` says"
                yield Fault("stack", place, message, remedy)


@rule(
    "arc-unknown-kind",
    source="az connectedk8s: Distribution_Enum_Values, Infrastructure_Enum_Values",
    severity="warning",
)
def arc_unknown_kind(facts: Facts) -> Iterator[Fault]:
    """A cluster's distribution and infrastructure are words that `az` knows, and so the portal."""
    for path, cluster, arc in connected(facts):
        for key, written, known in (
            ("distribution", arc.distribution, DISTRIBUTIONS),
            ("infrastructure", arc.infrastructure, INFRASTRUCTURES),
        ):
            if written not in known and not written.startswith("Windows"):  # Azure names many editions of it
                near = nearest(written.lower().replace("-", "_"), known, 0.7)
                message = f"{key} {shown(written)} of cluster {cluster.name} is none that `az connectedk8s` takes"
                remedy = f"write {near}" if near else f"write one of: {', '.join(known)}"
                yield Fault("stack", (*path, key), message, remedy)


@rule("arc-named-twice", source="az customlocation create", severity="warning")
def arc_named_twice(facts: Facts) -> Iterator[Fault]:
    """A custom location names each extension once."""
    for path, _, arc in connected(facts):
        for index, location in enumerate(arc.custom_locations):
            twice = next((name for name in location.extensions if location.extensions.count(name) > 1), None)
            if twice is not None:
                message = f"custom location {location.name} names extension {twice} twice"
                place = (*path, "customLocations", index, "extensions")
                yield Fault("stack", place, message, "name each extension once")
