"""The address plan: networks and claims (and the lock) in, every address out."""

from infra.plan.addresses.assignment import Assignment
from infra.plan.addresses.lock import ADDRESS_LOCK, Lock
from infra.plan.addresses.plan import AddressPlan, Allocation, LoadBalancerUse, NetworkPlan, PoolUse, Use
from infra.plan.addresses.planner import address_plan, assign, next_lock, plan_addresses

__all__ = [
    "ADDRESS_LOCK",
    "AddressPlan",
    "Allocation",
    "Assignment",
    "LoadBalancerUse",
    "Lock",
    "NetworkPlan",
    "PoolUse",
    "Use",
    "address_plan",
    "assign",
    "next_lock",
    "plan_addresses",
]
