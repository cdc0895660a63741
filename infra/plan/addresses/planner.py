"""From what people wrote and the lock to the address plan; pure."""

from collections.abc import Mapping

from infra.plan.addresses.allocate import allocate
from infra.plan.addresses.assignment import Assignment
from infra.plan.addresses.claims import Claim, build_claims
from infra.plan.addresses.layout import Network, build_networks
from infra.plan.addresses.lock import Lock, VrrpId
from infra.plan.addresses.numbers import walk
from infra.plan.addresses.occupants import Occupant, build_occupants, pin_claims
from infra.plan.addresses.plan import AddressPlan, Allocation, LoadBalancerUse, NetworkPlan, PoolUse, Vrrp
from infra.plan.addresses.vrrp import assign_vrrp_ids
from infra.plan.inventory import BRIDGE, Inventory
from infra.spec.loader import InstanceSpec


def plan_addresses(spec: InstanceSpec, lock: Lock | None = None) -> AddressPlan:
    """Plan every address of an instance; pure.

    Args:
        spec: What people wrote.
        lock: What earlier plans gave out; None is nothing.
    """
    return address_plan(assign(spec, lock))


def assign(spec: InstanceSpec, lock: Lock | None = None, inventory: Inventory | None = None) -> Assignment:
    """Decide who has which address; pure.

    Args:
        spec: What people wrote.
        lock: What earlier plans gave out; None is nothing.
        inventory: The machines of the instance, where they are listed already.
    """
    lock = lock or Lock()
    networks = build_networks(spec.netplan)
    claims = pin_claims(spec, build_claims(spec, networks, inventory))
    occupants = build_occupants(spec, networks, claims, lock)
    outcome = allocate(spec.name, networks, claims, occupants, lock)
    vrrp = assign_vrrp_ids(spec, networks, lock)
    return Assignment(spec, networks, claims, occupants, outcome, vrrp, _foreign(spec, lock))


def address_plan(assignment: Assignment) -> AddressPlan:
    """Return the plan that an assignment makes: every network with its addresses."""
    by_network = _share_out(assignment)
    plans = tuple(_network_plan(assignment, network, by_network[network.index]) for network in assignment.networks)
    ids = tuple(Vrrp(use.owner, use.given.vlan, use.given.number) for use in assignment.vrrp if use.given)
    return AddressPlan(assignment.spec.name, plans, ids)


def next_lock(plan: AddressPlan, lock: Lock) -> Lock:
    """Return the lock after this plan; the same one if nothing changes."""
    vrrp = {vrrp_id.owner: VrrpId(vrrp_id.vlan, vrrp_id.id) for vrrp_id in plan.vrrp_ids}
    changed = lock.record(
        plan.instance, (allocation for network in plan.networks for allocation in network.allocations), vrrp
    )
    return lock if changed == lock else changed


def _foreign(spec: InstanceSpec, lock: Lock) -> dict[int, str]:
    start = f"{spec.name}/"
    return {address: holder.owner for address, holder in lock.given.items() if not holder.owner.startswith(start)}


def _share_out(assignment: Assignment) -> list[list[Allocation]]:
    """Return each network's allocations; every address once, with the network that it was given for."""
    shares: list[dict[int, Allocation]] = [{} for _ in assignment.networks]
    listed: set[int] = set()
    vrrp = {use.owner: use.given.number for use in assignment.vrrp if use.given}

    def add(network: int | None, allocation: Allocation) -> None:
        if network is not None and allocation.value not in listed:
            listed.add(allocation.value)
            shares[network][allocation.value] = allocation

    for occupant in assignment.occupants:
        for address in walk([occupant.listed] if occupant.listed else []):
            add(_home(assignment.networks, address, occupant.network), _of_occupant(occupant, address))
    for claim in assignment.claims:
        if claim.owner in assignment.outcome.given:
            address = assignment.outcome.given[claim.owner]
            add(_home(assignment.networks, address, claim.network), _of_claim(claim, address, vrrp))
    for address, owner in assignment.foreign.items():
        why = f"given out to instance {owner.partition('/')[0]} of the same site"
        allocation = Allocation(address, owner, None, "reserved", why, is_recorded=False)
        add(_home(assignment.networks, address, None), allocation)
    return [[share[address] for address in sorted(share)] for share in shares]


def _home(networks: list[Network], address: int, preferred: int | None) -> int | None:
    if preferred is not None and address in networks[preferred].span:
        return preferred
    return next((network.index for network in networks if address in network.span), None)


def _of_occupant(occupant: Occupant, address: int) -> Allocation:
    is_recorded = occupant.use == "loadBalancer"
    owner = (
        occupant.owner
        if not is_recorded
        else f"{occupant.owner}-{occupant.number + address - occupant.span.first}"
    )
    return Allocation(address, owner, occupant.cluster, occupant.use, occupant.why, is_recorded)


def _of_claim(claim: Claim, address: int, vrrp: Mapping[str, int]) -> Allocation:
    holder = {"controlPlaneVip": claim.cluster, "resourceBridgeVip": BRIDGE}.get(claim.use) or ""
    why = f"{claim.why}; VRRP id {vrrp[holder]}" if holder in vrrp else claim.why
    return Allocation(address, claim.owner, claim.cluster, claim.use, why)


def _network_plan(assignment: Assignment, network: Network, allocations: list[Allocation]) -> NetworkPlan:
    needs = assignment.needs(network)
    required = sum(need.pool for need in needs)
    size = sum(len(span) for span in network.giving)
    used = sum(1 for allocation in allocations if network.is_in_pool(allocation.value))
    services = sum(need.load_balancer for need in needs)
    offered = sum(1 for allocation in allocations if allocation.use == "loadBalancer")
    return NetworkPlan(
        name=network.name,
        address_prefix=network.prefix,
        vlan=network.vlan,
        pool=PoolUse(size, required, size - used),
        load_balancer=LoadBalancerUse(offered, services),
        total=required + sum(need.outside for need in needs) + services,
        allocations=tuple(allocations),
        pools=tuple(network.giving),
    )
