"""One small function per published rule (azure_local_facts.md §1-3, §5; arc_facts.md)."""

from infra.addresses.rules import (  # each registers its rules
    arc,
    azure_limits,
    clusters,
    extensions,
    flux,
    machines,
    names,
    networks,
    nodes,
    pods,
    ranges,
    room,
    services,
    transport,
    versions,
)
from infra.addresses.rules.base import RULES, Facts, Rule, check_all

__all__ = [
    "RULES",
    "Facts",
    "Rule",
    "arc",
    "azure_limits",
    "check_all",
    "clusters",
    "extensions",
    "flux",
    "machines",
    "names",
    "networks",
    "nodes",
    "pods",
    "ranges",
    "room",
    "services",
    "transport",
    "versions",
]
