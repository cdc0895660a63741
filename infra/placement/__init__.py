"""Which host each machine runs on: pure, spread evenly, and stable.

A group (a cluster's control plane, one of its pools) is an availability set: its machines spread evenly, so a
host has at most ceil(members / hosts) of them (azure_local_facts.md §5.5, AVSET). Each group goes round the
hosts in an order of its own, drawn from the group's and the hosts' names. So the files' order means nothing,
another cluster or node moves nobody, and groups don't all begin on the same host.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence


def place(groups: Mapping[str, Sequence[str]], hosts: Iterable[str]) -> dict[str, str]:
    """Return a host for every machine.

    Args:
        groups: Machines by group, each group in the order of its machines' numbers.
        hosts: Names of the hosts; at least one.

    Raises:
        ValueError: There is no host.
    """
    names = list(hosts)
    if not names:
        raise ValueError("no host to place machines on")
    placed = {}
    for group, machines in groups.items():
        order = sorted(names, key=lambda host, group=group: _draw(group, host))  # type: ignore[misc]
        placed.update({machine: order[index % len(order)] for index, machine in enumerate(machines)})
    return placed


def _draw(group: str, host: str) -> bytes:
    return hashlib.sha256(f"{group}\0{host}".encode()).digest()
