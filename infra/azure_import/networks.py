"""Logical networks, by our keys; the one that an instance has for itself is its infrastructure."""

from __future__ import annotations

from typing import Any, Final

from infra.azure_import.collect import Azure
from infra.azure_import.report import NO_PLACE, NOT_MISSED, Report
from infra.azure_import.resources import Resource
from infra.azure_import.things import Thing, unread
from infra.azure_import.written import Written

_ARM: Final[dict[str, Any]] = dict.fromkeys(
    (
        "id",
        "name",
        "type",
        "location",
        "extendedLocation",
        "systemData",
        "resourceGroup",
        "provisioningState",
        "status",
    )
)
KNOWN: Final[dict[str, Any]] = {
    **_ARM,
    "properties": {
        **_ARM,
        "networkType": None,
        "vmSwitchName": None,
        "dhcpOptions": {"dnsServers": None},
        "subnets": {
            "name": None,
            "properties": {
                **dict.fromkeys(("addressPrefix", "addressPrefixes", "ipAllocationMethod", "vlan")),
                "ipConfigurationReferences": None,
                "ipPools": dict.fromkeys(("name", "start", "end", "ipPoolType", "info")),
                "routeTable": None,
            },
        },
    },
}
"""What is read of a logical network, or says nothing that files could (things.unread)."""

_REASONS: Final = {
    "tags": "a netplan has none, and an export takes those of targets/<site>.yaml",
    "networkSecurityGroup": "no network here has rules of its own",
}
_ANY_ROUTE: Final = "0.0.0.0/0"
_INFRASTRUCTURE: Final = "infrastructure"
_ENDS: Final = "-infralnet"
"""How the network ends that a deployment makes for the instance itself: <custom location>-InfraLNET."""


def networks(azure: Azure, report: Report) -> tuple[list[Written], Written | None]:
    """Return the logical networks, and the infrastructure where one of them is that."""
    used = {id(network) for cluster in azure.clusters if (network := azure.network_of(cluster)) is not None}
    made: list[Written] = []
    infrastructure: Written | None = None
    for network in azure.networks:
        if _is_infrastructure(network, is_used=id(network) in used):
            infrastructure = infrastructure or _infrastructure(network)
        elif _is_dynamic(network) and id(network) not in used:
            message = f"network {network.name} has DHCP, which AKS doesn't take, and no cluster uses it"
            report.say("import-left-out", network.thing, message, "nothing to do; keep its prefix free")
        else:
            made.append(_network(network, report))
    return made, infrastructure


def _is_infrastructure(network: Resource, *, is_used: bool) -> bool:
    kind = (network.properties.text("networkType") or "").lower()
    return kind == _INFRASTRUCTURE or (network.name.lower().endswith(_ENDS) and not is_used)


def _is_dynamic(network: Resource) -> bool:
    return (network.properties.text("subnets", 0, "properties", "ipAllocationMethod") or "").lower() == "dynamic"


def subnet_of(network: Resource) -> Thing:
    """Return the properties of a network's one subnet."""
    return network.properties.get("subnets", 0, "properties") or network.properties


def _addresses(network: Resource, made: Written) -> None:
    """Write what a network and the infrastructure have alike."""
    subnet = subnet_of(network)
    prefixes = subnet.items("addressPrefixes")
    made.take("addressPrefix", subnet.get("addressPrefix") or (prefixes[0] if prefixes else None))
    made.take("gateway", _gateway(subnet))
    made.take("dnsServers", network.properties.get("dhcpOptions", "dnsServers"))
    vlan = subnet.get("vlan")
    if vlan is not None and vlan.value != 0:
        made.take("vlan", vlan)


def _gateway(subnet: Thing) -> Thing | None:
    hops = [
        route.get("properties", "nextHopIpAddress")
        for route in subnet.items("routeTable", "properties", "routes")
        if route.text("properties", "addressPrefix") in (None, _ANY_ROUTE)
    ]
    return hops[0] if hops else None


def _network(network: Resource, report: Report) -> Written:
    made, subnet = Written(), subnet_of(network)
    made.put("name", network.name, network.thing.get("name"))
    made.take("vmSwitchName", network.properties.get("vmSwitchName"))
    _addresses(network, made)
    method = subnet.text("ipAllocationMethod")
    if method is not None and method.lower() != "static":
        made.put("ipAllocationMethod", method.capitalize(), subnet.get("ipAllocationMethod"))
    made.add_list("ipPools", [_pool(pool) for pool in subnet.items("ipPools")])
    _say_lost(network, report)
    return made


def _pool(pool: Thing) -> Written:
    made = Written()
    made.take_each(pool, ("name", "start", "end", "ipPoolType"))
    return made


def _infrastructure(network: Resource) -> Written:
    made, pool = Written(), Written()
    _addresses(network, made)
    first = next(iter(subnet_of(network).items("ipPools")), None)
    if first is not None:
        pool.take_each(first, ("start", "end"))
    made.add("pool", pool)
    return made


def _say_lost(network: Resource, report: Report) -> None:
    for path, lost in unread(network.thing, KNOWN):
        key = str(path[-1])
        report.lose(lost, key, f"network {network.name}", _REASONS.get(key, NO_PLACE), NOT_MISSED)
    subnets = network.properties.items("subnets")
    prefixes = subnet_of(network).items("addressPrefixes")
    for more in (subnets[1:], prefixes[1:]):
        if more:
            message = f"network {network.name} has more than one prefix"
            report.say("import-not-modelled", more[0], message, "leave one there: AKS uses one")
    for route in subnet_of(network).items("routeTable", "properties", "routes"):
        if route.text("properties", "addressPrefix") not in (None, _ANY_ROUTE):
            to = f"{route.text('properties', 'addressPrefix')} of network {network.name}"
            message = f"the route to {to} isn't imported: networks here have a gateway alone"
            report.say("import-left-out", route, message, "have the gateway route it")
