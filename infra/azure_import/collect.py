"""What all files say together: each cluster with what is on it; nothing is there twice, or belongs to nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from infra.azure_import.report import NOT_MISSED, Report
from infra.azure_import.resources import Kind, Resource, last_of
from infra.azure_import.things import Thing

_PROVISIONED: Final = "provisionedcluster"
_PASSING: Final = frozenset(
    {
        *(
            "status",
            "statuses",
            "systemdata",
            "provisioningstate",
            "etag",
            "connectivitystatus",
            "lastconnectivitytime",
        ),
        *("compliancestate", "statusupdatedat", "sourceupdatedat", "sourcesyncedcommitid", "info"),
    }
)
"""What az says otherwise at another time, in lower case."""


@dataclass
class AzureCluster:
    """An AKS cluster.

    Attributes:
        instance: Its provisioned cluster instance.
        connected: Its connected cluster, where a file has it.
        pools: Its pools, as a list of its own has them; empty where only the instance has.
        extensions: What is installed on it.
        flux: Its Flux configurations.
        balancers: Its load balancers.
    """

    instance: Resource
    connected: Resource | None = None
    pools: list[Resource] = field(default_factory=list)
    extensions: list[Resource] = field(default_factory=list)
    flux: list[Resource] = field(default_factory=list)
    balancers: list[Resource] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return its name in Azure."""
        return self.instance.name

    @property
    def network(self) -> Thing | None:
        """Return the id, or the name, of its logical network."""
        profile = self.instance.properties.get("cloudProviderProfile", "infraNetworkProfile", "vnetSubnetIds")
        return next(iter(profile.items()), None) if profile is not None else None


@dataclass
class Azure:
    """All that is imported.

    Attributes:
        networks: Logical networks.
        clusters: AKS clusters.
        deployments: What describes the instance itself.
        interfaces: Network interfaces of VMs.
        nodes: Nodes, as kubectl has them.
    """

    networks: list[Resource] = field(default_factory=list)
    clusters: list[AzureCluster] = field(default_factory=list)
    deployments: list[Resource] = field(default_factory=list)
    interfaces: list[Resource] = field(default_factory=list)
    nodes: list[Resource] = field(default_factory=list)

    @property
    def is_nothing(self) -> bool:
        """Tell whether there is nothing that makes a site: neither networks nor clusters nor an instance."""
        return not (self.networks or self.clusters or self.deployments)

    def network_of(self, cluster: AzureCluster) -> Resource | None:
        """Return a cluster's logical network."""
        return self.network_named(cluster.network)

    def network_named(self, named: Thing | None) -> Resource | None:
        """Return the network that an id or a name is of; ids are compared where both have one."""
        if named is None or not isinstance(named.value, str):
            return None
        id, name = named.value.rstrip("/").lower(), last_of(named.value).lower()
        for network in self.networks:
            own = (network.thing.text("id") or "").lower()
            if own == id or (network.name.lower() == name and not (own and "/" in id)):
                return network
        return None


def collect(resources: Iterable[Resource], report: Report) -> Azure:
    """Return what the files say together; the report names what is there twice, and what is missing."""
    by_kind = _once(resources, report)
    azure = Azure(
        networks=by_kind.get(Kind.NETWORK, []),
        clusters=[AzureCluster(resource) for resource in by_kind.get(Kind.CLUSTER, [])],
        deployments=by_kind.get(Kind.DEPLOYMENT, []),
        interfaces=by_kind.get(Kind.INTERFACE, []),
        nodes=by_kind.get(Kind.NODE, []),
    )
    clusters = {cluster.name.lower(): cluster for cluster in azure.clusters}
    for connected in by_kind.get(Kind.CONNECTED, []):
        _connect(connected, clusters, report)
    for kind in (Kind.POOL, Kind.EXTENSION, Kind.FLUX, Kind.BALANCER):
        for resource in by_kind.get(kind, []):
            _put(resource, clusters, report)
    for cluster in azure.clusters:
        _check_network(cluster, azure, report)
    _check_instance(azure, report)
    return azure


def _once(resources: Iterable[Resource], report: Report) -> dict[Kind, list[Resource]]:
    """Return the resources by kind; of one that is in two files alike the first counts."""
    first: dict[object, Resource] = {}
    for number, resource in enumerate(resources):
        # Two descriptions of the instance, as for ODIN and for ARM, are compared by what they say of it.
        key: object = number if resource.kind is Kind.DEPLOYMENT else resource.key
        known = first.setdefault(key, resource)
        if known is not resource and _lasting(known.thing.plain) != _lasting(resource.thing.plain):
            message = (
                f"{resource.kind} {resource.name} is also at {known.thing.where}, and says something else there"
            )
            remedy = "leave one of the two files out; two of one name are imported as two sites"
            report.say("import-twice", resource.thing, message, remedy)
    by_kind: dict[Kind, list[Resource]] = {}
    for resource in first.values():
        by_kind.setdefault(resource.kind, []).append(resource)
    return by_kind


def _lasting(value: Any) -> Any:
    """Return what a resource says of itself that is the same whenever it is asked."""
    match value:
        case dict():
            inner = {key: _lasting(item) for key, item in value.items() if key.lower() not in _PASSING}
            return {key: item for key, item in inner.items() if item not in (None, {}, [])}
        case list():
            return [_lasting(item) for item in value]
    return value


def _connect(connected: Resource, clusters: dict[str, AzureCluster], report: Report) -> None:
    cluster = clusters.get(connected.name.lower())
    if cluster is not None:
        cluster.connected = connected
        return
    if (connected.thing.text("kind") or "").lower() == _PROVISIONED:
        message = f"cluster {connected.name} is AKS on Azure Local, and no file says how it is made"
        remedy = f"add what `az aksarc show --name {connected.name} --resource-group …` prints"
        report.say("import-missing-cluster", connected.thing, message, remedy)
    else:
        message = f"cluster {connected.name} is connected to Azure, and Azure Local didn't make it"
        report.say("import-left-out", connected.thing, message, NOT_MISSED)


def _put(resource: Resource, clusters: dict[str, AzureCluster], report: Report) -> None:
    cluster = clusters.get((resource.cluster or "").lower())
    if cluster is None:
        of = (
            f"of cluster {resource.cluster}, which no file has"
            if resource.cluster
            else "of a cluster that its id doesn't name"
        )
        remedy = "add what `az aksarc show` prints of that cluster, or leave this out"
        report.say("import-missing-cluster", resource.thing, f"{resource.kind} {resource.name} is {of}", remedy)
        return
    listed = {
        Kind.POOL: cluster.pools,
        Kind.EXTENSION: cluster.extensions,
        Kind.FLUX: cluster.flux,
        Kind.BALANCER: cluster.balancers,
    }
    listed[resource.kind].append(resource)


def _check_network(cluster: AzureCluster, azure: Azure, report: Report) -> None:
    place = cluster.network or cluster.instance.thing
    if azure.network_of(cluster) is None:
        named = f"{last_of(str(cluster.network.value))}, which no file has" if cluster.network else "not said"
        message = f"the logical network of cluster {cluster.name} is {named}"
        remedy = "add what `az stack-hci-vm network lnet list --resource-group …` prints of it"
        report.say("import-missing-network", place, message, remedy)
    ids = cluster.instance.properties.items("cloudProviderProfile", "infraNetworkProfile", "vnetSubnetIds")
    if len(ids) > 1:
        message = f"cluster {cluster.name} has {len(ids)} logical networks"
        report.say("import-not-modelled", ids[1], message, "leave one there: AKS on Azure Local takes one")


def location_of(resource: Resource) -> Thing | None:
    """Return the custom location that something is in."""
    return resource.thing.get("extendedLocation", "name")


def _check_instance(azure: Azure, report: Report) -> None:
    """See that everything is of one instance: each has a custom location of its own."""
    first: Thing | None = None
    for resource in (*azure.networks, *(cluster.instance for cluster in azure.clusters)):
        place = location_of(resource)
        if place is None:
            continue
        first = first or place
        own, other = last_of(str(place.value)), last_of(str(first.value))
        if own.lower() != other.lower():
            message = (
                f"{resource.kind} {resource.name} is in custom location {own}, and what is at {first.where} in "
                f"{other}: these are two instances"
            )
            report.say("import-several-instances", place, message, "import each instance by itself")
            return
