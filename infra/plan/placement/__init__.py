"""Which host each machine runs on, and why; what has room, what moves, and what a host's loss leaves."""

from infra.plan.placement.lock import PLACEMENT_LOCK, Place, PlacementLock
from infra.plan.placement.plan import Move, Placed, Placement
from infra.plan.placement.planner import plan_placement

__all__ = [
    "PLACEMENT_LOCK",
    "Move",
    "Place",
    "Placed",
    "Placement",
    "PlacementLock",
    "plan_placement",
]
