"""One small function per published rule (azure_local_facts.md §1-3, §5)."""

from infra.addresses.rules import clusters, names, networks, ranges, room  # each registers its rules
from infra.addresses.rules.base import RULES, Facts, Rule, check_all

__all__ = ["RULES", "Facts", "Rule", "check_all", "clusters", "names", "networks", "ranges", "room"]
