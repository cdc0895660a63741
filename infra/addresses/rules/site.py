"""The stacks of one site against each other: names of machines and networks, MACs, and who holds the gateways.

The site's lock file knows every stack that was planned and not released.
"""

from collections.abc import Iterator, Mapping

from infra.addresses.numbers import overlap
from infra.addresses.rules.base import Facts, Fault, rule
from infra.addresses.rules.ranges import span_of
from infra.spec.machine_names import mac_addresses, machine_name

_MACHINES = frozenset({"controlPlaneNode", "workerNode", "resourceBridgeNode"})


def _others(facts: Facts) -> list[str]:
    """Return the other stacks of the site that have addresses."""
    return [one for one in facts.lock.instances if one != facts.spec.name]


def _machines(facts: Facts) -> dict[str, str]:
    """Return the machines of the site's other stacks: name and stack."""
    owners = (one.owner.partition("/") for one in facts.lock.given.values() if one.use in _MACHINES)
    return {machine_name(stack, owner): stack for stack, _, owner in owners if stack != facts.spec.name}


@rule("machine-of-another-stack", source="azlocal")
def machine_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """A machine's name, `<stack>-<name>`, is no other's of the site: it names libvirt's domain and the host."""
    others = _machines(facts)
    for claim in facts.claims:
        name = machine_name(facts.spec.name, claim.owner)
        if claim.use in _MACHINES and name in others:
            message = f"{name} would be a machine of stack {facts.spec.name}, and is one of stack {others[name]}"
            remedy = f"rename the stack, the cluster or the pool; {_freed(others[name])}"
            yield Fault("stack", claim.path, message, remedy)


@rule("mac-of-another-stack", source="azlocal")
def mac_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """MAC addresses, drawn from machines' names, differ over the whole site."""
    others = _machines(facts)
    if not others:
        return
    names = [machine_name(facts.spec.name, one.owner) for one in facts.claims if one.use in _MACHINES]
    macs = mac_addresses(names)
    taken = {mac: name for stack in _others(facts) for name, mac in _macs_of(others, stack).items()}
    for claim in facts.claims:
        name = machine_name(facts.spec.name, claim.owner)
        holder = taken.get(macs[name]) if claim.use in _MACHINES else None
        if holder is not None and holder != name:
            message = f"{name} would have the MAC address {macs[name]} that {holder} of stack {others[holder]} has"
            yield Fault("stack", claim.path, message, "rename the cluster, the pool or the stack")


def _macs_of(machines: Mapping[str, str], stack: str) -> dict[str, str]:
    return mac_addresses(name for name, one in machines.items() if one == stack)


@rule("network-name-of-another-stack", source="azlocal")
def network_name_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """A libvirt network's name, `<stack>-<network>`, is no other's of the site."""
    pairs = [(stack, one.name) for stack in _others(facts) for one in facts.networks]
    others = {machine_name(*pair): pair for pair in pairs}
    for network in facts.networks:
        name = machine_name(facts.spec.name, network.name)
        if name in others:
            stack, other = others[name]
            message = (
                f"libvirt's network {name} would be network {network.name} of stack {facts.spec.name} and network "
                f"{other} of stack {stack}"
            )
            remedy = f"rename a network or the stack; {_freed(stack)}"
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
    remedy = (
        f"give {spec.name} a site of its own: hosts/SITE.yaml, and netplans/SITE.yaml with other prefixes; "
        f"{_freed(others[0])}"
    )
    yield Fault("stack", ("site",), message, remedy)


@rule("network-of-another-site", source="azlocal", severity="warning")
def network_of_another_site(facts: Facts) -> Iterator[Fault]:
    """Sites on one machine have different subnets there, where libvirt makes their networks."""
    for network in facts.networks:
        if network.index and network.name not in facts.used:
            continue
        clashes = (
            (one, name, prefix)
            for one in facts.spec.neighbours
            for name, prefix in one.prefixes
            if overlap(span_of(prefix), network.span)
        )
        found = next(clashes, None)
        if found is not None:
            other, name, prefix = found
            message = (
                f"network {network.name} ({network.prefix}) and network {name} ({prefix.network}) of site "
                f"{other.site} overlap, and both would stand on host {other.host}, where libvirt makes one of them"
            )
            remedy = (
                f"give one of the sites other prefixes; where site {other.site} isn't used, remove "
                f"hosts/{other.site}.yaml"
            )
            yield Fault("netplan", (*network.path, "addressPrefix"), message, remedy)


@rule("uplink-of-another-stack", source="azlocal", severity="warning")
def uplink_of_another_stack(facts: Facts) -> Iterator[Fault]:
    """A VLAN of an uplink is a port of one bridge, and each stack makes bridges of its own.

    A warning: the other stack may be down, and stacks of one site can run one after the other.
    """
    others = _others(facts)
    spec = facts.spec
    hosts = [one for one in spec.standing_hosts if spec.network_mode(one) == "bridge" and one.is_prepared]
    if not others or not hosts:
        return
    names = ", ".join(one.name for one in hosts[:3]) + (" and others" if len(hosts) > 3 else "")
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


def _freed(stack: str) -> str:
    return f"where stack {stack} is gone, remove Pulumi.{stack}.yaml and run `azlocal release {stack}`"
