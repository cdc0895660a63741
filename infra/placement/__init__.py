"""Which host each machine runs on, and why; what has room, what moves, and what a host's loss leaves."""

from infra.placement.demand import MachineRole
from infra.placement.lock import Place, PlacementLock, read_placement_lock, update_placement_lock
from infra.placement.plan import Move, Placed, Placement
from infra.placement.planner import plan_placement

__all__ = [
    "MachineRole",
    "Move",
    "Place",
    "Placed",
    "Placement",
    "PlacementLock",
    "plan_placement",
    "read_placement_lock",
    "update_placement_lock",
]
