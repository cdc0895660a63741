"""Ranges that must stay apart: reserved blocks, pod and service networks, services, VIPs (facts §2.2-2.5)."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface

from infra.counting import counted
from infra.plan.addresses.numbers import address_text, count_shared, merged, overlap, range_text
from infra.plan.addresses.occupants import Occupant
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.types import AddressRange


def span_of(prefix: str | IPv4Interface) -> AddressRange:
    """Return a prefix's addresses, its network and broadcast address included."""
    network = IPv4Interface(prefix).network
    return AddressRange(int(network.network_address), int(network.broadcast_address))


# The resource bridge and AKS use them inside; they can't be moved (NETCON).
RESERVED = {"10.244.0.0/16": span_of("10.244.0.0/16"), "10.96.0.0/12": span_of("10.96.0.0/12")}


def reserved_block(address: int) -> str | None:
    """Return the reserved block that an address lies in, None where it lies in neither."""
    return next((block for block, span in RESERVED.items() if address in span), None)


_WORD = re.compile("[a-z0-9]+")
_LEAST_LETTERS = 2  # shorter words of a sentence say nothing
_FILLERS = frozenset({"the", "and", "for", "host", "machine", "here", "private", "server"})
_RANK = {"host": 0, "gateway": 1, "dns": 2, "loadBalancer": 3, "reserved": 4}


@rule("network-in-reserved-range", source="NETCON")
def network_in_reserved_range(facts: Facts) -> Iterator[Fault]:
    """No network meets the blocks that AKS and the resource bridge use inside."""
    for network in facts.networks:
        for block, span in RESERVED.items():
            if overlap(network.span, span):
                message = f"network {network.name} ({network.prefix}) meets {block}, which AKS uses inside"
                remedy = "use a prefix within 192.168.0.0/16, 172.16.0.0/12 or 10.0.0.0-10.95.255.255"
                yield Fault("netplan", (*network.path, "addressPrefix"), message, remedy)


@rule("cidr-overlap", source="MRIP, NETCON")
def cidr_overlap(facts: Facts) -> Iterator[Fault]:
    """A cluster's pod and service networks are disjoint from each other and from every network."""
    for path, cluster in facts.clusters:
        profile = cluster.network_profile
        cidrs = {"podCidr": profile.pod_cidr, "serviceCidr": profile.service_cidr}
        for key, cidr in cidrs.items():
            span = span_of(cidr)
            for network in facts.networks:
                if overlap(span, network.span):
                    meets = f"meets network {network.name} ({network.prefix})"
                    message = f"{key} {cidr.network} of cluster {cluster.name} {meets}"
                    yield Fault("stack", (*path, "networkProfile", key), message, "choose another range")
        if overlap(span_of(profile.pod_cidr), span_of(profile.service_cidr)):
            message = f"podCidr {profile.pod_cidr.network} meets serviceCidr {profile.service_cidr.network}"
            yield Fault("stack", (*path, "networkProfile"), message, "make them disjoint")


@rule("vip-outside-prefix", source="NET, PS")
def vip_outside_prefix(facts: Facts) -> Iterator[Fault]:
    """A given control-plane address is a usable one of the cluster's network."""
    for path, cluster in facts.clusters:
        host_ip, network = cluster.control_plane.host_ip, facts.by_name.get(cluster.logical_network)
        if host_ip is not None and network is not None and int(host_ip) not in network.usable:
            message = f"hostIP {host_ip} is no usable address of network {network.name} ({network.prefix})"
            yield Fault("stack", (*path, "controlPlane", "hostIP"), message, "choose one inside the prefix")


@rule("vip-in-pool", source="PS")
def vip_in_pool(facts: Facts) -> Iterator[Fault]:
    """A given control-plane address lies outside the pools."""
    for path, cluster in facts.clusters:
        host_ip, network = cluster.control_plane.host_ip, facts.by_name.get(cluster.logical_network)
        if host_ip is None or network is None:
            continue
        pool = next(
            (candidate.span for candidate in network.pools if candidate.span and int(host_ip) in candidate.span),
            None,
        )
        if pool is not None:
            message = f"hostIP {host_ip} lies in the pool {range_text(pool)} of network {network.name}"
            remedy = "choose one outside the pools, or leave hostIP out and have one chosen"
            yield Fault("stack", (*path, "controlPlane", "hostIP"), message, remedy)


@rule("load-balancer-outside-subnet", source="IP, LB, LBCLI")
def load_balancer_outside_subnet(facts: Facts) -> Iterator[Fault]:
    """Service addresses lie in the nodes' subnet, where L2 announcements reach."""
    for balancer in _balancers(facts):
        network = facts.networks[balancer.network] if balancer.network is not None else None
        if network and (balancer.span.first not in network.usable or balancer.span.last not in network.usable):
            message = (
                f"{range_text(balancer.span)} leaves the usable addresses "
                f"of network {network.name} ({network.prefix})"
            )
            yield Fault("stack", balancer.path, message, "choose addresses inside the prefix")


@rule("load-balancer-in-pool", source="IP, LBCLI")
def load_balancer_in_pool(facts: Facts) -> Iterator[Fault]:
    """Service addresses lie outside every pool, or a node gets one of them."""
    pools = merged(span for network in facts.networks for pool in network.pools if (span := pool.span))
    for balancer in _balancers(facts):
        for network in facts.networks if count_shared([balancer.span], pools) else ():
            for pool in network.pools:
                shared = overlap(balancer.span, pool.span) if pool.span else None
                if shared:
                    message = f"{range_text(shared)} also lies in a pool of network {network.name}"
                    yield Fault("stack", balancer.path, message, "choose addresses outside the pools")


@rule("load-balancer-too-small", source="IP")
def load_balancer_too_small(facts: Facts) -> Iterator[Fault]:
    """The given ranges hold as many addresses as the services need."""
    for path, cluster in facts.clusters:
        balancer = cluster.load_balancer
        size = sum(len(span) for span in balancer.ranges)
        if balancer.addresses and balancer.count is not None and balancer.count > size:
            message = (
                f"{counted(size, 'address')} for {counted(balancer.count, 'service')} of cluster {cluster.name}"
            )
            yield Fault("stack", (*path, "loadBalancer"), message, "widen the range, or lower the count")


@rule("load-balancer-count", source="azlocal")
def load_balancer_count(facts: Facts) -> Iterator[Fault]:
    """A count of service addresses is 0-256."""
    for path, cluster in facts.clusters:
        count = cluster.load_balancer.count
        if count is not None and not 0 <= count <= 256:
            message = f"{counted(count, 'service address')} for cluster {cluster.name}"
            yield Fault("stack", (*path, "loadBalancer", "count"), message, "use 0-256")


@rule("address-clash", source="azlocal")
def address_clash(facts: Facts) -> Iterator[Fault]:
    """Two things that people gave addresses to don't share one."""
    again = _named_again(facts)
    # DHCP ranges, and hosts that are named or reached twice, have rules of their own.
    named = [
        candidate for candidate in facts.occupants if candidate.role != "dhcp" and candidate.path not in again
    ]
    around: dict[tuple[str, str], Occupant] = {}
    for occupant in sorted(named, key=lambda entry: (entry.span.first, _RANK[entry.use])):
        around = {key: other for key, other in around.items() if other.span.last >= occupant.span.first}
        clash = next((other for other in around.values() if not _is_one_thing(other, occupant)), None)
        if clash is not None:
            shared = overlap(clash.span, occupant.span)
            what = range_text(shared or occupant.span)
            message = f"{what} is {occupant.owner}'s ({occupant.use}) and {clash.owner}'s ({clash.use})"
            remedy = "give one of the two another address"
            if (occupant.owner, occupant.use) == (clash.owner, clash.use):
                message, remedy = (
                    f"{what} is given to {occupant.owner} ({occupant.use}) twice",
                    "name each address once",
                )
            yield Fault(occupant.file, occupant.path, message, remedy)
        widest = around.setdefault((occupant.role, occupant.owner), occupant)
        if occupant.span.last > widest.span.last:
            around[occupant.role, occupant.owner] = occupant


def _named_again(facts: Facts) -> set[KeyPath]:
    """Return the connections and the tunnels' ends of hosts that the file has for another host before."""
    machines: dict[tuple[str, int], int] = {}
    ends: dict[IPv4Address, KeyPath] = {}
    hosts = enumerate(facts.spec.hosts.hosts)
    return {
        ("hosts", index, "connection")
        for index, host in hosts
        if machines.setdefault(host.way.machine, index) != index
    } | {path for path, _, address in facts.tunnel_ends if ends.setdefault(address, path) != path}


@rule("reserved-for-another", source="azlocal", severity="warning")
def reserved_for_another(facts: Facts) -> Iterator[Fault]:
    """A reservation of an address that the files name elsewhere says whose it is in words that tell so."""
    named: dict[int, Occupant] = {}
    for occupant in facts.occupants:
        if occupant.role in ("way", "service", "endpoint") and occupant.use != "dns":
            named.setdefault(occupant.span.first, occupant)
    for occupant in facts.occupants:
        other = named.get(occupant.span.first) if occupant.role == "reservation" else None
        if other is None or _tells(occupant.owner, other):
            continue
        where = facts.spec.sources.where(other.file, other.path)
        message = (
            f"{range_text(occupant.span)} is reserved for {shown(occupant.owner)}, "
            f"and is {other.owner}'s by {where}"
        )
        remedy = f"where that is one machine, name {other.owner} in the owner; else correct one of the two"
        yield Fault("netplan", occupant.path, message, remedy)


def _tells(owner: str, other: Occupant) -> bool:
    """Tell whether words say that an address is somebody's: by a word of the name, or of what is there."""
    words = set(_WORD.findall(owner.lower())) - _FILLERS
    longer = {word for word in _WORD.findall(other.why.lower()) if len(word) > _LEAST_LETTERS}
    return bool(words & {*_WORD.findall(other.owner.lower()), *longer})


@rule("address-of-another-instance", source="azlocal")
def address_of_another_instance(facts: Facts) -> Iterator[Fault]:
    """Service addresses are no other instance's of the same site."""
    foreign = sorted(facts.addresses.foreign)
    for balancer in _balancers(facts):
        shared = foreign[bisect_left(foreign, balancer.span.first) : bisect_right(foreign, balancer.span.last)]
        if shared:
            more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
            holder = facts.addresses.foreign[shared[0]]
            message = f"{address_text(shared[0])}{more} in {range_text(balancer.span)} is {holder}'s"
            yield Fault(
                balancer.file,
                balancer.path,
                message,
                "choose other addresses, or free them with `azlocal release`",
            )


@rule("pin-clash", source="NET, azlocal")
def pin_clash(facts: Facts) -> Iterator[Fault]:
    """A pinned address is nobody else's, on paper or by the lock."""
    for claim, address, holder in facts.addresses.outcome.clashes:
        message = f"{address_text(address)} is asked for {claim.owner}, but it is {holder}'s"
        file, path = facts.pin_place(claim)
        remedy = "choose another address, or free this one first"
        is_theirs = facts.addresses.foreign.get(address) == holder and holder.endswith(f"/{claim.owner}")
        if is_theirs and path[0] == "reservations":  # a hostIP has no owner to write
            remedy = f"write {holder} as the owner, or {facts.spec.name}/{claim.owner} and another address"
        yield Fault(file, path, message, remedy)


@rule("pin-outside-pool", source="IP, NETCON")
def pin_outside_pool(facts: Facts) -> Iterator[Fault]:
    """A machine pinned by a reservation keeps to its network's pools, as the formula counts it there."""
    for claim in facts.claims:
        network = facts.networks[claim.network]
        if claim.pin is None or claim.path[-1:] == ("hostIP",):
            continue
        is_inside = claim.pin in network.usable and network.is_in_pool(claim.pin) == (claim.place == "pool")
        if not is_inside:
            file, path = facts.pin_place(claim)
            kind = "in" if claim.place == "pool" else "outside"
            message = f"{claim.owner} can't be pinned to {address_text(claim.pin)}"
            remedy = f"choose an address {kind} the pools of network {network.name}"
            yield Fault(file, path, message, remedy)


@rule("reservation-outside", source="azlocal", severity="warning")
def reservation_outside(facts: Facts) -> Iterator[Fault]:
    """A reservation concerns one of the networks."""
    for index, reservation in enumerate(facts.spec.netplan.reservations):
        if not any(int(reservation.address) in network.span for network in facts.networks):
            message = f"reservation {reservation.address} ({reservation.owner}) lies in no network"
            yield Fault("netplan", ("reservations", index), message, "correct or remove it")


def _balancers(facts: Facts) -> Iterator[Occupant]:
    return (occupant for occupant in facts.occupants if occupant.use == "loadBalancer")


def _is_one_thing(occupant: Occupant, other: Occupant) -> bool:
    """Tell whether two may name one address: one thing described twice, or a service on somebody's machine."""
    roles = {occupant.role, other.role}
    if "balancer" in roles:
        balancer, reserved = (occupant, other) if occupant.role == "balancer" else (other, occupant)
        return roles == {"balancer", "reservation"} and reserved.owner.startswith(balancer.owner)
    if "service" in roles or roles in ({"gateway"}, {"gateway", "way"}):
        return True
    if "reservation" in roles and len(roles) == 2:
        return True  # a note of who it is
    return occupant.owner == other.owner and roles != {"host", "endpoint"}
