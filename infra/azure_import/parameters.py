"""Where the parameters of modules and templates end up in ARM's resources.

Sources: Azure/bicep-registry-modules (azure_parity.md §3.1), Azure/aksArc deploymentTemplates (aksarc-ARM-azlocal,
aksarc-bicep-azlocal, aksarc-metallb), whose templates for Bicep and ARM have the same resources under other names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from infra.azure_import.resources import Kind, Resource, last_of
from infra.azure_import.things import Thing, nested
from infra.export.module_names import CLUSTER_VARIABLES, NETWORK_VARIABLES
from infra.spec.findings import KeyPath

Places = Mapping[str, tuple[Kind, KeyPath]]

_OWN: Final = "properties"
_SUBNET: Final[KeyPath] = (_OWN, "subnets", 0, _OWN)
_POOL: Final[KeyPath] = (*_SUBNET, "ipPools", 0)
_ROUTE: Final[KeyPath] = (*_SUBNET, "routeTable", _OWN, "routes", 0)
_LOCATION: Final[KeyPath] = ("extendedLocation", "name")
_PLANE: Final[KeyPath] = (_OWN, "controlPlane")
_FIRST_POOL: Final[KeyPath] = (_OWN, "agentPoolProfiles", 0)
_NETWORK_IDS: Final[KeyPath] = (_OWN, "cloudProviderProfile", "infraNetworkProfile", "vnetSubnetIds")
_KEY: Final[KeyPath] = (_OWN, "linuxProfile", "ssh", "publicKeys", 0, "keyData")

NETWORK_MODULE: Final[Places] = {
    name: (Kind.NETWORK, path)
    for name, path in {
        "name": ("name",),
        "location": ("location",),
        "tags": ("tags",),
        "customLocationResourceId": _LOCATION,
        "vmSwitchName": (_OWN, "vmSwitchName"),
        "subnet0Name": (_OWN, "subnets", 0, "name"),
        "ipAllocationMethod": (*_SUBNET, "ipAllocationMethod"),
        "addressPrefix": (*_SUBNET, "addressPrefix"),
        "vlanId": (*_SUBNET, "vlan"),
        "ipPools": (*_SUBNET, "ipPools"),
        "startingAddress": (*_POOL, "start"),  # before 0.2.0
        "endingAddress": (*_POOL, "end"),
        "routeName": (*_ROUTE, "name"),
        "defaultGateway": (*_ROUTE, _OWN, "nextHopIpAddress"),
        "dnsServers": (_OWN, "dhcpOptions", "dnsServers"),
    }.items()
}
"""Parameters of AVM's module of a logical network in Bicep."""

CLUSTER_MODULE: Final[Places] = {
    "name": (Kind.CONNECTED, ("name",)),
    "location": (Kind.CONNECTED, ("location",)),
    "connectClustersTags": (Kind.CONNECTED, ("tags",)),
    "tags": (Kind.CLUSTER, ("tags",)),
    "customLocationResourceId": (Kind.CLUSTER, _LOCATION),
    "hciSecurityProfile": (Kind.CLUSTER, (_OWN, "securityProfile")),
    "authorizedIPRanges": (Kind.CLUSTER, (_OWN, "clusterVMAccessProfile", "authorizedIPRanges")),
    **{
        name: (Kind.CLUSTER, (_OWN, name))
        for name in (
            *("kubernetesVersion", "linuxProfile", "controlPlane", "agentPoolProfiles", "networkProfile"),
            *("cloudProviderProfile", "storageProfile", "licenseProfile"),
        )
    },
    **{
        name: (Kind.CONNECTED, (_OWN, name))
        for name in ("aadProfile", "arcAgentProfile", "oidcIssuerProfile", "securityProfile")
    },
}
"""Parameters of AVM's module of a cluster in Bicep."""

_ANY_ROUTE: Final = "0.0.0.0/0"

AKSARC_TEMPLATES: Final[Places] = {
    "connectedClusterName": (Kind.CONNECTED, ("name",)),
    **dict.fromkeys(("location", "azureLocation"), (Kind.CONNECTED, ("location",))),
    **dict.fromkeys(("customLocation", "customLocationResourceID"), (Kind.CLUSTER, _LOCATION)),
    "kubernetesVersion": (Kind.CLUSTER, (_OWN, "kubernetesVersion")),
    **dict.fromkeys(("sshRSAPublicKey", "sshPublicKey"), (Kind.CLUSTER, _KEY)),
    "vnetSubnetIds": (Kind.CLUSTER, _NETWORK_IDS),
    **dict.fromkeys(
        ("controlPlaneIp", "controlPlaneHostIP"), (Kind.CLUSTER, (*_PLANE, "controlPlaneEndpoint", "hostIP"))
    ),
    "controlPlaneVMSize": (Kind.CLUSTER, (*_PLANE, "vmSize")),
    "controlPlaneNodeCount": (Kind.CLUSTER, (*_PLANE, "count")),
    **dict.fromkeys(("agentName", "nodePoolName"), (Kind.CLUSTER, (*_FIRST_POOL, "name"))),
    **dict.fromkeys(("agentVMSize", "nodePoolVMSize"), (Kind.CLUSTER, (*_FIRST_POOL, "vmSize"))),
    **dict.fromkeys(("agentOsType", "nodePoolOSType"), (Kind.CLUSTER, (*_FIRST_POOL, "osType"))),
    **dict.fromkeys(("agentCount", "nodePoolCount"), (Kind.CLUSTER, (*_FIRST_POOL, "count"))),
    **dict.fromkeys(("nodeTaints", "nodePoolTaints"), (Kind.CLUSTER, (*_FIRST_POOL, "nodeTaints"))),
    **{
        name: (Kind.CLUSTER, (*_FIRST_POOL, name))
        for name in ("enableAutoScaling", "minCount", "maxCount", "nodeLabels")
    },
    **dict.fromkeys(
        ("networkPolicy", "netWorkProfilNetworkPolicy"), (Kind.CLUSTER, (_OWN, "networkProfile", "networkPolicy"))
    ),
    **dict.fromkeys(
        ("loadBalancerCount", "networkProfileLoadBalancerCount"),
        (Kind.CLUSTER, (_OWN, "networkProfile", "loadBalancerProfile", "count")),
    ),
    "enableAzureHybridBenefit": (Kind.CLUSTER, (_OWN, "licenseProfile", "azureHybridBenefit")),
    "enableNfsCsiDriver": (Kind.CLUSTER, (_OWN, "storageProfile", "nfsCsiDriver", "enabled")),
    "enableSmbCsiDriver": (Kind.CLUSTER, (_OWN, "storageProfile", "smbCsiDriver", "enabled")),
    "enableWorkloadIdentity": (Kind.CONNECTED, (_OWN, "securityProfile", "workloadIdentity", "enabled")),
    "enableOidcIssuer": (Kind.CONNECTED, (_OWN, "oidcIssuerProfile", "enabled")),
    **dict.fromkeys(("lnetName", "logicalNetworkName"), (Kind.NETWORK, ("name",))),
    "addressPrefix": (Kind.NETWORK, (*_SUBNET, "addressPrefix")),
    "dnsServers": (Kind.NETWORK, (_OWN, "dhcpOptions", "dnsServers")),
    "vmSwitchName": (Kind.NETWORK, (_OWN, "vmSwitchName")),
    "ipAllocationMethod": (Kind.NETWORK, (*_SUBNET, "ipAllocationMethod")),
    "vipPoolStart": (Kind.NETWORK, (*_POOL, "start")),
    "vipPoolEnd": (Kind.NETWORK, (*_POOL, "end")),
    "nextHopIpAddress": (Kind.NETWORK, (*_ROUTE, _OWN, "nextHopIpAddress")),
    "vlan": (Kind.NETWORK, (*_SUBNET, "vlan")),
    "loadBalancerName": (Kind.BALANCER, ("name",)),
    **{
        name: (Kind.BALANCER, (_OWN, name))
        for name in ("addresses", "advertiseMode", "serviceSelector", "bgpPeers")
    },
}
"""Parameters of the templates of Azure/aksArc for a cluster, its network, a pool, and MetalLB's addresses."""

_MOST_LISTED: Final = 4
_LABEL: Final = ("nodePoolLabel", "nodePoolLabelValue")
_WITHOUT_EFFECT: Final = frozenset(
    {"connectedclustersapiversion", "provisionedclustersapiversion", "parentresourceid", "k8sruntimefpaobjectid"}
)


def of_variables(module: Places, variables: Mapping[str, KeyPath]) -> Places:
    """Return where a Terraform module's variables end up, by what Bicep's module calls them."""
    places: dict[str, tuple[Kind, KeyPath]] = {}
    for variable, (parameter, *below) in variables.items():
        kind, path = module[str(parameter)]
        places[variable] = kind, (*path, *below)
    return places


NETWORK_OF_TERRAFORM: Final = of_variables(NETWORK_MODULE, NETWORK_VARIABLES)
CLUSTER_OF_TERRAFORM: Final = of_variables(CLUSTER_MODULE, CLUSTER_VARIABLES)


def resources_of(parameters: Thing, places: Places) -> tuple[list[Resource], list[tuple[str, Thing]]]:
    """Return the resources that parameters describe, and those parameters that say nothing of them.

    Args:
        parameters: Each parameter's value, by its name in any case.
        places: Where each ends up.
    """
    by_name = {name.lower(): place for name, place in places.items()}
    parts: dict[Kind, dict[KeyPath, Thing]] = {}
    others: list[tuple[str, Thing]] = []
    for name, value in parameters.entries():
        place = by_name.get(name.lower())
        if place is None:
            others.append((name, value))
        elif not value.is_empty:
            parts.setdefault(place[0], {})[place[1]] = value
    _mend(parameters, parts)
    made = {kind: nested(places_of_kind, parameters) for kind, places_of_kind in parts.items()}
    connected = made.get(Kind.CONNECTED)
    cluster = connected.text("name") if connected is not None else None
    if (parent := parameters.text("parentResourceId")) is not None:
        cluster = last_of(parent)
    known = [
        (name, value)
        for name, value in others
        if name.lower() not in {*_WITHOUT_EFFECT, *(label.lower() for label in _LABEL)}
    ]
    return [_resource(kind, thing, cluster) for kind, thing in made.items()], known


def _mend(parameters: Thing, parts: dict[Kind, dict[KeyPath, Thing]]) -> None:
    """Add what templates put together: a label of two parameters, and the network that they make."""
    key, value = parameters.text(_LABEL[0]), parameters.get(_LABEL[1])
    cluster, network = parts.get(Kind.CLUSTER), parts.get(Kind.NETWORK)
    if cluster is not None and key and value is not None:
        cluster[(*_FIRST_POOL, "nodeLabels", key)] = value
    if network is None:
        return
    if cluster is not None and _NETWORK_IDS not in cluster and ("name",) in network:
        cluster[(*_NETWORK_IDS, 0)] = network[("name",)]
    if set(network) == {("name",)}:  # of a network that stands already
        del parts[Kind.NETWORK]
    route = network.get((*_ROUTE, _OWN, "nextHopIpAddress"))
    if route is not None:
        network[(*_ROUTE, _OWN, "addressPrefix")] = Thing(_ANY_ROUTE, route.file, route.line, route.path)


def _resource(kind: Kind, thing: Thing, cluster: str | None) -> Resource:
    name = thing.text("name") or ""
    if kind in (Kind.CLUSTER, Kind.CONNECTED):
        return Resource(kind, cluster or "", thing, cluster)
    return Resource(kind, name, thing, None if kind is Kind.NETWORK else cluster)


def names(things: Iterable[tuple[str, Thing]]) -> str:
    """Return the names of parameters, the first few of many."""
    listed = [name for name, _ in things]
    more = len(listed) - _MOST_LISTED
    return ", ".join(listed[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
