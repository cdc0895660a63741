"""The address plan: networks and claims (and the lock) in, every address and every finding out."""

from infra.addresses.lock import Lock, read_lock, update_lock
from infra.addresses.plan import AddressPlan, Allocation, LoadBalancerUse, NetworkPlan, PoolUse, Use
from infra.addresses.planner import next_lock, plan_addresses, record_plan

__all__ = [
    "AddressPlan",
    "Allocation",
    "LoadBalancerUse",
    "Lock",
    "NetworkPlan",
    "PoolUse",
    "Use",
    "next_lock",
    "plan_addresses",
    "read_lock",
    "record_plan",
    "update_lock",
]
