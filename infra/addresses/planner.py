"""From what people wrote and the lock to the address plan; pure, and the effect of recording it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.addresses.allocate import allocate
from infra.addresses.bounds import beyond_bounds
from infra.addresses.claims import Claim, build_claims
from infra.addresses.layout import Network, build_networks
from infra.addresses.lock import Lock, VrrpId, update_lock
from infra.addresses.numbers import walk
from infra.addresses.occupants import Occupant, build_occupants, pin_claims
from infra.addresses.plan import AddressPlan, Allocation, LoadBalancerUse, NetworkPlan, PoolUse, Vrrp
from infra.addresses.rules import Facts, check_all
from infra.addresses.vrrp import BRIDGE, assign_vrrp_ids
from infra.spec.findings import Finding
from infra.spec.loader import InstanceSpec


def plan_addresses(spec: InstanceSpec, lock: Lock | None = None) -> AddressPlan:
    """Plan every address of an instance and check it against every rule; pure.

    Args:
        spec: What people wrote.
        lock: What earlier plans gave out; None is nothing.
    """
    too_much = beyond_bounds(spec)
    if too_much:
        return AddressPlan(spec.name, (), tuple(too_much))
    lock = lock or Lock()
    networks = build_networks(spec.netplan)
    claims = pin_claims(spec, build_claims(spec, networks))
    occupants = build_occupants(spec, networks, claims, lock)
    outcome = allocate(spec.name, networks, claims, occupants, lock)
    vrrp = assign_vrrp_ids(spec, networks, lock)
    facts = Facts(spec, networks, claims, occupants, outcome, vrrp, _foreign(spec, lock), lock)
    by_network = _share_out(facts)
    plans = tuple(_network_plan(facts, network, by_network[network.index]) for network in networks)
    ids = tuple(Vrrp(one.owner, one.given.vlan, one.given.number) for one in vrrp if one.given)
    return AddressPlan(spec.name, plans, tuple(check_all(facts)), ids)


def record_plan(spec: InstanceSpec, *, frozen: bool = False, others: Sequence[Finding] = ()) -> AddressPlan:
    """Plan with the site's lock file, and write it when the plan is sound and gives out something new.

    Args:
        spec: What people wrote.
        frozen: Refuse to change the lock; a plan that needs it gets a finding. Where there is no lock to
            change, nothing is written and a warning says so.
        others: What was found in other parts of the instance's plan; an error among it keeps the lock as it is.

    Raises:
        SpecError: The lock can't be read or written.
    """
    are_sound = all(finding.severity != "error" for finding in others)
    result = _Recorded()

    def change(lock: Lock) -> Lock:
        plan = plan_addresses(spec, lock)
        changed = next_lock(plan, lock)
        if frozen and changed != lock and plan.ok:
            plan = plan.with_findings([frozen_addresses(spec.lock_path, lock, changed)])
        result.plan = plan
        return changed if plan.ok and are_sound and not frozen else lock

    update_lock(spec.lock_path, change)
    assert result.plan is not None  # noqa: S101  update_lock() called change()
    return result.plan


def next_lock(plan: AddressPlan, lock: Lock) -> Lock:
    """Return the lock after this plan; the same one if nothing changes."""
    vrrp = {one.owner: VrrpId(one.vlan, one.id) for one in plan.vrrp_ids}
    changed = lock.record(plan.instance, (one for network in plan.networks for one in network.allocations), vrrp)
    return lock if changed == lock else changed


@dataclass
class _Recorded:
    plan: AddressPlan | None = None


def frozen_addresses(path: Path, lock: Lock, changed: Lock) -> Finding:
    """Return what is said where a plan would change a lock file of addresses that mustn't be changed."""
    if not path.exists():
        message = "there is no lock file, so nothing holds these addresses"
        remedy = "run `azlocal plan` on your machine and commit the lock file"
        return Finding("lock-missing", "warning", f"netplans/{path.name}", message, remedy)
    added = len(changed.given.keys() - lock.given.keys())
    freed = len(lock.given.keys() - changed.given.keys())
    ids = len(changed.vrrp.items() ^ lock.vrrp.items())
    more = f", {ids} VRRP ids changed" if ids else ""
    message = f"the plan changes the lock: {added} addresses given out, {freed} freed{more}; --frozen forbids it"
    remedy = "run `azlocal plan` on your machine, review the lock's diff and commit it"
    return Finding("lock-frozen", "error", f"netplans/{path.name}", message, remedy)


def _foreign(spec: InstanceSpec, lock: Lock) -> dict[int, str]:
    start = f"{spec.name}/"
    return {address: one.owner for address, one in lock.given.items() if not one.owner.startswith(start)}


def _share_out(facts: Facts) -> list[list[Allocation]]:
    """Return each network's allocations; every address once, with the network that it was given for."""
    shares: list[dict[int, Allocation]] = [{} for _ in facts.networks]
    listed: set[int] = set()
    vrrp = {one.owner: one.given.number for one in facts.vrrp if one.given}

    def add(network: int | None, allocation: Allocation) -> None:
        if network is not None and allocation.value not in listed:
            listed.add(allocation.value)
            shares[network][allocation.value] = allocation

    for one in facts.occupants:
        for address in walk([one.listed] if one.listed else []):
            add(_home(facts.networks, address, one.network), _of_occupant(one, address))
    for claim in facts.claims:
        if claim.owner in facts.outcome.given:
            address = facts.outcome.given[claim.owner]
            add(_home(facts.networks, address, claim.network), _of_claim(claim, address, vrrp))
    for address, owner in facts.foreign.items():
        why = f"given out to instance {owner.partition('/')[0]} of the same site"
        allocation = Allocation(address, owner, None, "reserved", why, is_recorded=False)
        add(_home(facts.networks, address, None), allocation)
    return [[share[address] for address in sorted(share)] for share in shares]


def _home(networks: list[Network], address: int, preferred: int | None) -> int | None:
    if preferred is not None and address in networks[preferred].span:
        return preferred
    return next((network.index for network in networks if address in network.span), None)


def _of_occupant(one: Occupant, address: int) -> Allocation:
    is_recorded = one.use == "loadBalancer"
    owner = one.owner if not is_recorded else f"{one.owner}-{one.number + address - one.span.first}"
    return Allocation(address, owner, one.cluster, one.use, one.why, is_recorded)


def _of_claim(claim: Claim, address: int, vrrp: Mapping[str, int]) -> Allocation:
    holder = {"controlPlaneVip": claim.cluster, "resourceBridgeVip": BRIDGE}.get(claim.use) or ""
    why = f"{claim.why}; VRRP id {vrrp[holder]}" if holder in vrrp else claim.why
    return Allocation(address, claim.owner, claim.cluster, claim.use, why)


def _network_plan(facts: Facts, network: Network, allocations: list[Allocation]) -> NetworkPlan:
    needs = facts.needs(network)
    required = sum(need.pool for need in needs)
    size = sum(len(span) for span in network.giving)
    used = sum(1 for one in allocations if network.is_in_pool(one.value))
    services = sum(need.load_balancer for need in needs)
    offered = sum(1 for one in allocations if one.use == "loadBalancer")
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
