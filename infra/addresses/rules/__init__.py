"""One small function per published rule (azure_local_facts.md §1-3, §5; arc_facts.md)."""

from infra.addresses.rules import (  # each registers its rules
    arc,
    clusters,
    machines,
    names,
    networks,
    nodes,
    owners,
    pods,
    proxies,
    ranges,
    room,
    services,
    site,
    special,
    transport,
    versions,
)
from infra.addresses.rules.base import RULES, Facts, Rule, check_all

__all__ = [
    "RULES",
    "Facts",
    "Rule",
    "arc",
    "check_all",
    "clusters",
    "machines",
    "names",
    "networks",
    "nodes",
    "owners",
    "pods",
    "proxies",
    "ranges",
    "room",
    "services",
    "site",
    "special",
    "transport",
    "versions",
]
