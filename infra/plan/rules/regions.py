"""Azure's regions: one that the named cloud has, and in which clusters can be connected.

infra/model/azure_regions.json has them, each list with its source. `az` compares names as here: `East US` is
`eastus`.
"""

from collections.abc import Iterator

from infra.model.azure_regions import connected_cluster_regions, regions, short_location
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.near import nearest

_PUBLIC = "AzureCloud"
_LISTED = ("eastus", "westeurope", "southeastasia", "australiaeast")
_REGIONS = "https://learn.microsoft.com/azure/reliability/regions-list"


@rule("unknown-region", source=f"{_REGIONS}; az account list-locations")
def unknown_region(facts: Facts) -> Iterator[Fault]:
    """A location is a region of the cloud that the stack names; a custom cloud has regions of its own."""
    if _cloud(facts) == "custom":
        return
    for path, location in _locations(facts):
        name, known = short_location(location), _known(facts)
        if name in known:
            continue
        cloud = next((cloud for cloud, names in regions().items() if name in names), None)
        own = f"a region of {_cloud(facts)}" if facts.spec.stack.arc else "a region of Azure"
        message = f"{shown(location)} is not {own}" + (f", but of {cloud}" if cloud else "")
        near = nearest(name, known, 0.7)
        usual = [region for region in _LISTED if region in known] or list(known)
        remedy = f"write {near}" if near else f"write one of: {', '.join(usual)}, …"
        if cloud is not None:
            remedy += f"; or name that cloud, arc.cloud: {cloud}"
        yield Fault("stack", path, message, remedy)


@rule("region-without-clusters", source="arc_facts §1.2", severity="warning")
def region_without_clusters(facts: Facts) -> Iterator[Fault]:
    """Connected clusters are offered in the region; an error with the emulator, which has no others."""
    cloud = _cloud(facts)
    if facts.spec.stack.arc is None or cloud not in (_PUBLIC, "emulator"):
        return
    for path, location in _locations(facts):
        name = short_location(location)
        if name not in regions()[_PUBLIC] or name in connected_cluster_regions():
            continue
        near = nearest(name, connected_cluster_regions(), 0.0)
        if cloud == "emulator":
            message = f"the emulator offers no connected clusters in {shown(location)}"
            yield Fault("stack", path, message, f"write {near}", "error")
        else:
            message = f"{shown(location)} isn't known to offer connected clusters"
            remedy = f"`up` asks Azure, and ends there if it doesn't; {near} is known to"
            yield Fault("stack", path, message, remedy)


def _cloud(facts: Facts) -> str | None:
    arc = facts.spec.stack.arc
    return arc.cloud if arc is not None else None


def _known(facts: Facts) -> dict[str, str]:
    """Return the regions that a location can be; without Azure, those of every cloud."""
    cloud = _cloud(facts)
    if cloud is None:
        return {name: display for names in regions().values() for name, display in names.items()}
    return regions()[_PUBLIC if cloud == "emulator" else cloud]


def _locations(facts: Facts) -> Iterator[tuple[KeyPath, str]]:
    """Yield where a region is named: for the instance, and for single clusters."""
    yield ("location",), facts.spec.stack.location
    for path, cluster in facts.clusters:
        if cluster.arc.location is not None:
            yield (*path, "arc", "location"), cluster.arc.location
