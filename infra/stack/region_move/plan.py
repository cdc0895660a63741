"""What a move has to do, and what keeps it from beginning. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from infra.arc.inventory import KINDS, Inventory, Kind
from infra.model.azure_regions import short_location
from infra.plan.arc_topology import ConnectedCluster

# Kinds of resource that a region has to offer, and whose they are (arc_facts.md §6, step 0).
NEEDED = (
    ("Microsoft.Kubernetes", "connectedClusters"),
    ("Microsoft.KubernetesConfiguration", "extensions"),
    ("Microsoft.KubernetesConfiguration", "fluxConfigurations"),
)

_COLLECTED = ("Microsoft.Insights", "dataCollectionRuleAssociations")

Key = tuple[Kind, str]
"""A resource on the cluster: its kind, and its name in lower case."""

# Kinds whose resources may have protected settings, which Azure never gives back.
_WITH_SECRETS: frozenset[Kind] = frozenset({"extensions", "fluxConfigurations", "sourceControlConfigurations"})


@dataclass(frozen=True)
class Plan:
    """A move before it begins.

    Attributes:
        source: The region it leaves.
        target: The region it goes to.
        declared: What the stack makes again.
        foreign: What somebody made beside the stack, and is made again from the inventory.
        faults: What keeps it from beginning; nothing is deleted before there is none.
    """

    source: str
    target: str
    declared: tuple[Key, ...]
    foreign: tuple[Key, ...]
    faults: tuple[str, ...] = field(default=())


def needed_of(cluster: ConnectedCluster) -> tuple[tuple[str, str], ...]:
    """Return what a region has to offer for a cluster."""
    is_collected = any(
        extension.data_collection and extension.data_collection.is_workspace for extension in cluster.extensions
    )
    return (*NEEDED, _COLLECTED) if is_collected else NEEDED


def plan_move(
    inventory: Inventory,
    cluster: ConnectedCluster,
    target: str,
    offered: Mapping[tuple[str, str], Sequence[str]],
    protected: Iterable[str],
    unprotected: Iterable[str],
    *,
    is_begun: bool = False,
) -> Plan:
    """Plan a move.

    Args:
        inventory: What stands now.
        cluster: What the stack declares.
        target: The region to go to.
        offered: Regions by provider and resource type.
        protected: Names of resources whose protected settings are at hand.
        unprotected: Names of resources of which the user says that they have none.
        is_begun: Whether it goes on after it broke off: then the cluster may be anywhere between both regions.
    """
    declared = declared_on(cluster)
    standing = [(kind, name) for kind in KINDS for name in inventory.of(kind)]
    foreign = tuple(key for key in standing if key not in declared)
    source = str(inventory.cluster.get("location") or "")
    faults = [] if is_begun else [*_not_possible(inventory, target, offered)]
    faults += _without_secrets(foreign, {name.lower() for name in (*protected, *unprotected)})
    return Plan(source, target, tuple(sorted(declared)), foreign, tuple(faults))


def _not_possible(
    inventory: Inventory, target: str, offered: Mapping[tuple[str, str], Sequence[str]]
) -> Iterator[str]:
    if short_location(str(inventory.cluster.get("location") or "")) == short_location(target):
        yield f"the cluster is in {target} already"
    for (namespace, kind), regions in offered.items():
        if short_location(target) not in {short_location(region) for region in regions}:
            known = ", ".join(sorted(short_location(region) for region in regions))
            yield f"{namespace}/{kind} isn't offered in {target}; it is in {known}"
    status = (inventory.cluster.get("properties") or {}).get("connectivityStatus")
    if status != "Connected":
        yield f"the cluster is {status}, and its agents have to remove what they installed: `make up` connects it"


def _without_secrets(foreign: Iterable[Key], answered: Collection[str]) -> Iterator[str]:
    for kind, name in foreign:
        if kind in _WITH_SECRETS and name not in answered:
            yield (
                f"{kind}/{name} isn't declared in the stack, and Azure never gives protected settings back: name "
                f"their file with --protected {name}=FILE, or say --unprotected {name} if it has none"
            )


def declared_on(cluster: ConnectedCluster) -> frozenset[Key]:
    """Return what the stack declares on a connected cluster."""
    settings = cluster.settings
    keys: list[Key] = [("extensions", extension.name.lower()) for extension in cluster.extensions]
    keys += [("fluxConfigurations", configuration.name.lower()) for configuration in settings.flux_configurations]
    keys += [("customLocations", location.name.lower()) for location in settings.custom_locations]
    return frozenset(keys)
