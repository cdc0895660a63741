"""Addresses that somebody in Azure has: they are reserved, so that a plan beside them takes others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from infra.azure_import.collect import Azure
from infra.azure_import.networks import subnet_of
from infra.azure_import.report import Report
from infra.azure_import.resources import Resource
from infra.azure_import.things import Thing
from infra.azure_import.written import Written
from infra.counting import counted
from infra.plan.addresses.numbers import range_text
from infra.spec.types import AddressRange, parse_ranges

_IN_AZURE: Final = " (in use in Azure)"
_LONGEST_OWNER: Final = 100


@dataclass(frozen=True, slots=True)
class InUse:
    """An address that somebody has.

    Attributes:
        address: The address.
        owner: Who has it, in words.
        origin: Where that stands.
    """

    address: IPv4Address
    owner: str
    origin: Thing


def address_of(thing: Thing | None) -> IPv4Address | None:
    """Return the address that is written; None where it is none."""
    try:
        return IPv4Address(str(thing.value).partition("/")[0]) if thing is not None else None
    except ValueError:
        return None


def pool_with(address: Thing, network: Resource | None) -> AddressRange | None:
    """Return the pool of a network that has an address; None where none has."""
    number = address_of(address)
    if number is None or network is None:
        return None
    return next((span for span, _ in pools_of(network) if int(number) in span), None)


def pools_of(network: Resource) -> Iterator[tuple[AddressRange, Thing]]:
    """Yield a network's pools that can be read, and where each stands."""
    for pool in subnet_of(network).items("ipPools"):
        try:
            (span,) = parse_ranges(f"{pool.text('start')}-{pool.text('end')}")
        except ValueError:
            continue
        yield span, pool


def reservations(azure: Azure, report: Report) -> list[Written]:
    """Return a reservation for each address in use, the first of several for one."""
    by_address: dict[IPv4Address, InUse] = {}
    for use in (*_endpoints(azure, report), *_interfaces(azure, report), *_nodes(azure)):
        by_address.setdefault(use.address, use)
    hosts_ips = {address_of(_endpoint(cluster.instance)) for cluster in azure.clusters}
    _check_counts(azure, {*by_address, *hosts_ips}, report)
    return [_reservation(by_address[address]) for address in sorted(by_address)]


def _reservation(use: InUse) -> Written:
    made = Written()
    made.put("address", str(use.address), use.origin)
    made.put("owner", use.owner[: _LONGEST_OWNER - len(_IN_AZURE)] + _IN_AZURE, use.origin)
    return made


def _endpoint(instance: Resource) -> Thing | None:
    return instance.properties.get("controlPlane", "controlPlaneEndpoint", "hostIP")


def _endpoints(azure: Azure, report: Report) -> Iterator[InUse]:
    """Yield addresses of API servers that Azure took from a pool: nobody chose them, so they are no hostIP."""
    for cluster in azure.clusters:
        endpoint = _endpoint(cluster.instance)
        address, network = address_of(endpoint), azure.network_of(cluster)
        if endpoint is None or address is None or pool_with(endpoint, network) is None:
            continue
        message = (
            f"the API server of cluster {cluster.name} has {address} of a pool, so Azure chose it: it is "
            "reserved, and the plan chooses another"
        )
        remedy = "to choose one yourself, write hostIP with an address outside the pools"
        report.say("import-address-in-pool", endpoint, message, remedy)
        yield InUse(address, f"API server of {cluster.name}", endpoint)


def _interfaces(azure: Azure, report: Report) -> Iterator[InUse]:
    for interface in azure.interfaces:
        for configuration in interface.properties.items("ipConfigurations"):
            place = configuration.get("properties", "privateIPAddress")
            address = address_of(place)
            if place is None or address is None:
                continue
            network = azure.network_named(configuration.get("properties", "subnet", "id"))
            if network is None and not _networks_with(azure, address):
                message = f"{address} of {interface.name} is in no network that a file has, and isn't reserved"
                report.say("import-left-out", place, message, "add its network, if the plan has to know it")
                continue
            yield InUse(address, interface.name, place)


def _nodes(azure: Azure) -> Iterator[InUse]:
    for node in azure.nodes:
        for entry in node.thing.items("status", "addresses"):
            place = entry.get("address")
            address = address_of(place) if entry.text("type") == "InternalIP" else None
            if place is not None and address is not None and _networks_with(azure, address):
                yield InUse(address, f"node {node.name}", place)


def _networks_with(azure: Azure, address: IPv4Address) -> list[Resource]:
    def has(network: Resource) -> bool:
        try:
            (span,) = parse_ranges(subnet_of(network).text("addressPrefix") or "")
        except ValueError:
            return False
        return int(address) in span

    return [network for network in azure.networks if has(network)]


def _check_counts(azure: Azure, known: set[IPv4Address | None], report: Report) -> None:
    """See that Azure counts no more addresses of a pool in use than the files have."""
    for network in azure.networks:
        pools = list(pools_of(network))
        counts = Counter(
            number
            for number, (span, _) in enumerate(pools)
            for address in known
            if address is not None and int(address) in span
        )
        for number, (span, pool) in enumerate(pools):
            used = pool.get("info", "used")
            text = str(used.value) if used is not None else ""
            if used is None or not text.isdecimal() or int(text) <= counts[number]:
                continue
            message = (
                f"in Azure, {counted(int(text), 'address')} of {range_text(span)} of network {network.name} "
                f"are in use, and the files name {counts[number]}"
            )
            remedy = (
                "to plan beside what stands there, add `az stack-hci-vm network nic list` and each cluster's "
                "`kubectl get nodes -o json`"
            )
            report.say("import-incomplete", used, message, remedy)
