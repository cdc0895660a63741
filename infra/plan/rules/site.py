"""The stacks of one site against each other: names of machines and networks, MACs, and who holds the gateways.

The site's lock file knows every stack that was planned and not released.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.plan.addresses.layout import Network
from infra.plan.addresses.numbers import address_text, overlap
from infra.plan.rules.base import Facts, Fault, rule
from infra.plan.rules.ranges import span_of
from infra.plan.rules.siblings import site_of_its_own
from infra.spec.machine_names import mac_addresses, machine_name
from infra.spec.neighbours import MACHINE_USES, Neighbour


def _others(facts: Facts) -> list[str]:
    """Return the other stacks of the site that have addresses."""
    return [stack for stack in facts.locks.addresses.instances if stack != facts.spec.name]


@dataclass(frozen=True, slots=True)
class _Holder:
    """A stack that has a machine on this site's hosts, and its site where that is another."""

    stack: str
    site: str | None = None
    host: str | None = None

    def __str__(self) -> str:
        of_site = f" of site {self.site}, which has host {self.host} in common with this one" if self.site else ""
        return f"stack {self.stack}{of_site}"


def _machines(facts: Facts) -> dict[str, _Holder]:
    """Return the machines of other stacks, of this site and others, that may be on this site's hosts."""
    owners = (
        holder.owner.partition("/")
        for holder in facts.locks.addresses.given.values()
        if holder.use in MACHINE_USES
    )
    there = {
        name: _Holder(stack, shared.site, shared.host)
        for shared in facts.spec.shared_hosts
        for name, stack in shared.machines.items()
        if stack != facts.spec.name  # which was of that site before
    }
    return there | {
        machine_name(stack, owner): _Holder(stack) for stack, _, owner in owners if stack != facts.spec.name
    }


@rule("machine-of-another-stack", source="azlocal")
def machine_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """A machine's name, `<stack>-<name>`, is no other's on its hosts: it names libvirt's domain and the host."""
    others = _machines(facts)
    for claim in facts.claims:
        name = machine_name(facts.spec.name, claim.owner)
        if claim.use in MACHINE_USES and name in others:
            message = f"{name} would be a machine of stack {facts.spec.name}, and is one of {others[name]}"
            remedy = f"rename the stack, the cluster or the pool; {_freed(others[name].stack)}"
            yield Fault("stack", claim.path, message, remedy)


@rule("mac-of-another-stack", source="azlocal")
def mac_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """MAC addresses, drawn from machines' names, differ over all machines of a site's hosts."""
    others = _machines(facts)
    if not others:
        return
    names = [machine_name(facts.spec.name, own.owner) for own in facts.claims if own.use in MACHINE_USES]
    macs = mac_addresses(names)
    stacks = {holder.stack for holder in others.values()}
    taken = {mac: name for stack in stacks for name, mac in _macs_of(others, stack).items()}
    for claim in facts.claims:
        name = machine_name(facts.spec.name, claim.owner)
        holder = taken.get(macs[name]) if claim.use in MACHINE_USES else None
        if holder is not None and holder != name:
            message = f"{name} would have the MAC address {macs[name]} that {holder} of {others[holder]} has"
            yield Fault("stack", claim.path, message, "rename the cluster, the pool or the stack")


def _macs_of(machines: Mapping[str, _Holder], stack: str) -> dict[str, str]:
    return mac_addresses(name for name, holder in machines.items() if holder.stack == stack)


@rule("network-name-of-another-stack", source="azlocal")
def network_name_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """A libvirt network's name, `<stack>-<network>`, is no other's on the site's hosts."""
    named = [
        (_Holder(stack, shared.site, shared.host), network)
        for shared in facts.spec.shared_hosts
        for stack in shared.stacks
        if stack != facts.spec.name
        for network in shared.networks
    ]
    named += [(_Holder(stack), own.name) for stack in _others(facts) for own in facts.networks]
    others = {machine_name(holder.stack, network): (holder, network) for holder, network in named}
    for network in facts.networks:
        name = machine_name(facts.spec.name, network.name)
        if name in others:
            holder, other = others[name]
            message = (
                f"libvirt's network {name} would be network {network.name} of stack {facts.spec.name} and network "
                f"{other} of {holder}"
            )
            remedy = f"rename a network or the stack; {_freed(holder.stack)}"
            yield Fault("netplan", network.path, message, remedy)


@rule("gateway-of-another-stack", source="azlocal")
def gateway_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """A host holds a network's gateway for one stack: two networks of one subnet can't stand on a host."""
    others = _others(facts)
    spec = facts.spec
    holders = [host for host in spec.standing_hosts if spec.holds_gateways(host)]
    if not others or not holders:
        return
    stacks = ", ".join(others)
    message = (
        f"host {holders[0].name} holds the gateways of this site's networks for stack {stacks} already; a second "
        f"network with gateway {spec.netplan.infrastructure.gateway} can't stand beside it"
    )
    remedy = f"{site_of_its_own(spec.name)}; {_freed(others[0])}"
    yield Fault("stack", ("site",), message, remedy)


@rule("network-of-another-site", source="azlocal", severity="warning")
def network_of_another_site(facts: Facts) -> Iterator[Fault]:
    """Sites on one machine have different subnets there, where libvirt makes their networks."""
    for network in facts.standing:
        clashes = (
            (neighbour, name, prefix)
            for neighbour in facts.spec.neighbours
            if neighbour.uplink is None
            for name, prefix in neighbour.prefixes
            if overlap(span_of(prefix), network.span)
        )
        clash = next(clashes, None)
        if clash is not None:
            other, name, prefix = clash
            message = (
                f"network {network.name} ({network.prefix}) and network {name} ({prefix.network}) of site "
                f"{other.site} overlap, and both would stand on host {other.host}, where libvirt makes one of them"
            )
            remedy = (
                f"give one of the sites other prefixes; where site {other.site} isn't used, remove "
                f"hosts/{other.site}.yaml"
            )
            yield Fault("netplan", (*network.path, "addressPrefix"), message, remedy)


@rule("uplink-of-another-site", source="azlocal", severity="warning")
def uplink_of_another_site(facts: Facts) -> Iterator[Fault]:
    """Sites on one uplink have different VLANs there: a VLAN is a port of one bridge, and one wire.

    Sites that meet on a switch only, by hosts of their own, are nothing that the files tell.
    """
    hosts = {host.name: host for host in facts.spec.hosts.hosts}
    for network in facts.standing:
        shared = (
            (neighbour, name, prefix)
            for neighbour in facts.spec.neighbours
            if neighbour.uplink is not None
            for (name, prefix), vlan in zip(neighbour.prefixes, neighbour.vlans, strict=True)
            if vlan == network.vlan
        )
        common = next(shared, None)
        if common is None:
            continue
        other, name, prefix = common
        where = f"VLAN {network.vlan}" if network.vlan else "the untagged network"
        both = (
            f"network {network.name} ({network.prefix}) and network {name} ({prefix.network}) of site {other.site}"
        )
        message = f"{both} have {where} of uplink {other.uplink} on host {other.host}"
        if hosts[other.host].is_prepared:
            message += f"; `up` refuses to make a bridge for it while a stack of site {other.site} has one there"
        if overlap(span_of(prefix), network.span):
            message += "; each site's lock gives out addresses that the other may have given, too"
        for both in _given_twice(facts, network, other):
            message += f"; {both}"
        remedy = (
            f"give one of the networks another VLAN; or have one site for all, which the stacks of both name; "
            f"where site {other.site} isn't used, remove hosts/{other.site}.yaml"
        )
        place = "vlan" if network.vlan else "addressPrefix"
        yield Fault("netplan", (*network.path, place), message, remedy)


@rule("uplink-of-another-stack", source="azlocal", severity="warning")
def uplink_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """A VLAN of an uplink is a port of one bridge, and each stack makes bridges of its own.

    A warning: the other stack may be down, and stacks of one site can run one after the other.
    """
    others = _others(facts)
    spec = facts.spec
    hosts = [host for host in spec.standing_hosts if spec.network_mode(host) == "bridge" and host.is_prepared]
    if not others or not hosts:
        return
    names = ", ".join(host.name for host in hosts[:3]) + (" and others" if len(hosts) > 3 else "")
    message = (
        f"`up` makes bridges on the uplinks of {names}, and refuses to while those of stack {', '.join(others)} "
        "stand there: a VLAN, or the untagged uplink, is a port of one bridge"
    )
    remedy = (
        f"take {others[0]} down before {spec.name} comes up; or give {spec.name} a site of its own, all of whose "
        "networks, the infrastructure's too, have a VLAN that no other stack has on these uplinks; "
        f"{_freed(others[0])}"
    )
    yield Fault("stack", ("site",), message, remedy)


def _given_twice(facts: Facts, network: Network, other: Neighbour) -> Iterator[str]:
    """Say what a network of this site and another site's lock give out both: the first address, and a VRRP id."""
    ours = {
        claim.owner: facts.addresses.outcome.given.get(claim.owner)
        for claim in facts.claims
        if claim.network == network.index
    }
    texts = ((owner, address_text(address)) for owner, address in ours.items() if address is not None)
    twice = [(owner, text) for owner, text in texts if text in other.given]
    if twice:
        owner, text = twice[0]
        more = f", and {len(twice) - 1} more" if len(twice) > 1 else ""
        yield f"{text} is {facts.spec.name}/{owner}'s, and {other.given[text]}'s there{more}"
    for use in facts.addresses.vrrp:
        if use.network != network.index or use.given is None:
            continue
        holder = other.vrrp_ids.get((use.given.vlan, use.given.number))
        if holder is not None:
            yield f"VRRP id {use.given.number} is {facts.spec.name}/{use.owner}'s, and {holder}'s there"


def _freed(stack: str) -> str:
    return f"where stack {stack} is gone, remove Pulumi.{stack}.yaml and run `azlocal release {stack}`"
