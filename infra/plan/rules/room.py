"""Room: pools hold what the official formula asks, and nobody in use loses an address (facts §2.1, §2.6)."""

from collections.abc import Iterator

from infra.counting import counted
from infra.plan.addresses.layout import Network
from infra.plan.addresses.numbers import address_text, count_shared, range_text, without
from infra.plan.addresses.vrrp import MAX_ID
from infra.plan.inventory import BRIDGE_MACHINE, BRIDGE_SPARE
from infra.plan.rules.base import Facts, Fault, rule

_BRIDGE_NODES = 2


def _shortage(facts: Facts, network: Network) -> tuple[int, int, int, int]:
    """Return the pool's need, its size, how many others have of it, and how many are short."""
    need = sum(cluster_need.pool for cluster_need in facts.addresses.needs(network))
    size = sum(len(span) for span in network.giving)
    others = count_shared(network.giving, facts.addresses.occupied)
    return need, size, others, max(0, need - (size - others))


@rule("aks-pool-too-small", source="IP, NET")
def aks_pool_too_small(facts: Facts) -> Iterator[Fault]:
    """A network's pools hold every node, one spare a cluster, and the VIPs that are chosen for people."""
    for network in facts.logical:
        need, size, others, short = _shortage(facts, network)
        if short and any(pool.gives for pool in network.pools):
            parts = ", ".join(
                f"{cluster.name} {cluster_need.pool}"
                for cluster, cluster_need in facts.addresses.cluster_needs(network)
            )
            held = f", {others} of them taken by others" if others else ""
            message = (
                f"the pools of network {network.name} have {counted(size, 'address')}{held}; "
                f"{need} are required ({parts}), {short} more than there are"
            )
            remedy = f"widen the pools by at least {counted(short, 'address')}, or use fewer nodes"
            yield Fault("netplan", network.pools_path, message, remedy)


@rule("infrastructure-pool-too-small", source="NETCON, IP2, IP3")
def infrastructure_pool_too_small(facts: Facts) -> Iterator[Fault]:
    """The infrastructure pool has at least six free consecutive addresses."""
    network = facts.networks[0]
    need, size, others, short = _shortage(facts, network)
    if short:
        held = f", {others} of them taken by others" if others else ""
        message = f"the infrastructure pool has {counted(size, 'address')}{held}; {need} free ones are required"
        remedy = f"widen the pool by at least {short}"
        if size >= _BRIDGE_NODES and not facts.clusters:
            remedy += "; to test the resource bridge alone, set azlocal:deploymentClass to resourceBridgeTest"
        yield Fault("netplan", network.pools_path, message, remedy)


@rule("infrastructure-pool-not-consecutive", source="NETCON, RBSYS")
def infrastructure_pool_not_consecutive(facts: Facts) -> Iterator[Fault]:
    """The free addresses of the infrastructure pool, enough in number, are also consecutive."""
    network = facts.networks[0]
    need, _, _, short = _shortage(facts, network)
    runs = [run for span in network.giving for run in without(span, facts.addresses.occupied)]
    longest = max(runs, key=len, default=None)
    if not short and longest is not None and len(longest) < need:
        message = (
            f"the longest free run of the infrastructure pool is {range_text(longest)}, "
            f"{counted(len(longest), 'address')}; {need} consecutive ones are required"
        )
        yield Fault("netplan", network.pools_path, message, "move the pool, or what others have in it")


@rule("resource-bridge-not-adjacent", source="RBSYS")
def resource_bridge_not_adjacent(facts: Facts) -> Iterator[Fault]:
    """The resource bridge's two node addresses are adjacent."""
    first, spare = (facts.addresses.outcome.given.get(owner) for owner in (BRIDGE_MACHINE, BRIDGE_SPARE))
    if first is not None and spare is not None and abs(first - spare) != 1:
        message = f"rb-0 has {address_text(first)} and rb-spare {address_text(spare)}; the two must be adjacent"
        yield Fault("netplan", ("reservations",), message, "pin them to neighbours, or pin only one")


@rule("address-not-placed", source="azlocal")
def address_not_placed(facts: Facts) -> Iterator[Fault]:
    """Everything that needs an address gets one."""
    seen: set[tuple[int, str]] = set()
    for claim in facts.addresses.outcome.unplaced:
        network = facts.networks[claim.network]
        if (claim.network, claim.place) in seen:
            continue
        seen.add((claim.network, claim.place))
        if claim.place == "pool" and _shortage(facts, network)[3]:
            continue  # the rules of the pools say it
        place = "in the pools" if claim.place == "pool" else "outside the pools"
        adjacent = ", adjacent to the resource bridge's other address," if claim.follows else ""
        message = f"no address{adjacent} is left {place} of network {network.name} for {claim.owner}"
        if claim.path:
            yield Fault("stack", claim.path, message, "make room: another pool, or a larger prefix")
        else:
            yield Fault("netplan", network.pools_path, message, "make room: a larger pool")


@rule("address-stranded", source="NET, LNETM")
def address_stranded(facts: Facts) -> Iterator[Fault]:
    """A machine that has an address keeps it for life."""
    for stranded in facts.addresses.outcome.stranded:
        message = f"{stranded.claim.owner} has {address_text(stranded.address)}, but {stranded.reason}"
        remedy = _release(facts, stranded.claim.owner)
        if stranded.claim.path:
            yield Fault("stack", stranded.claim.path, message, remedy)
        else:
            yield Fault("netplan", facts.networks[stranded.claim.network].path, message, remedy)


@rule("pin-moved", source="NET, LNETM")
def pin_moved(facts: Facts) -> Iterator[Fault]:
    """A hand-written address doesn't move what has another one already: a control plane's can't change."""
    for claim, address in facts.addresses.outcome.moved:
        wanted = address_text(claim.pin or 0)
        message = f"{claim.owner} is asked for at {wanted}, but it has {address_text(address)}"
        file, path = facts.pin_place(claim)
        yield Fault(file, path, message, _release(facts, claim.owner))


@rule("vrrp-id-clash", source="RFC 5798")
def vrrp_id_clash(facts: Facts) -> Iterator[Fault]:
    """A VRRP id has one owner on its VLAN."""
    for use in facts.addresses.vrrp:
        if use.given and use.holder:
            message = f"VRRP id {use.given.number} on VLAN {use.given.vlan} is {use.owner}'s and in {use.holder}"
            yield Fault("stack", use.path, message, _release(facts, use.owner))


@rule("vrrp-ids-exhausted", source="RFC 5798")
def vrrp_ids_exhausted(facts: Facts) -> Iterator[Fault]:
    """A VLAN has 255 VRRP ids."""
    for use in facts.addresses.vrrp:
        if use.given is None:
            message = f"no VRRP id is left for {use.owner} on VLAN {facts.networks[use.network].vlan}"
            yield Fault("stack", use.path, message, "use a network on another VLAN, or correct takenVrrpIds")


@rule("vrrp-id-out-of-range", source="RFC 5798")
def vrrp_id_out_of_range(facts: Facts) -> Iterator[Fault]:
    """A VRRP id lies in 1-255."""
    netplan = facts.spec.netplan
    taken = [
        netplan.infrastructure.taken_vrrp_ids,
        *(logical.taken_vrrp_ids for logical in netplan.logical_networks),
    ]
    for network, ids in zip(facts.networks, taken, strict=True):
        for index, number in enumerate(ids):
            if not 1 <= number <= MAX_ID:
                path = (*network.path, "takenVrrpIds", index)
                yield Fault(
                    "netplan", path, f"VRRP id {number} is not in 1-{MAX_ID}", f"use a number of 1-{MAX_ID}"
                )


def _release(facts: Facts, owner: str) -> str:
    return (
        "take the change back; or, once nothing runs there any more, free it with "
        f"`azlocal release {facts.spec.name} {owner}`"
    )
