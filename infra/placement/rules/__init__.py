"""What holds for a placement: one small function a rule (azure_local_facts.md §5.3-5.5)."""

from infra.placement.rules import capacity, choices, moves, survival  # each registers its rules
from infra.placement.rules.base import RULES, Facts, check_all

__all__ = ["RULES", "Facts", "capacity", "check_all", "choices", "moves", "survival"]
