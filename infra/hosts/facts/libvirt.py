"""What libvirt on a host runs: machines by their state, networks by whether they are up."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from infra.hosts.facts.census import has_driver, lists_of, section, virsh
from infra.hosts.facts.fact import Fact
from infra.model.local_libvirt import LXC, QEMU

_UUIDS: Final = "uuids"
_STATES: Final = "states"
_NETWORKS: Final = "networks"
_NO_ID: Final = "-"


@dataclass(frozen=True, slots=True)
class Domain:
    """A machine that libvirt has.

    Attributes:
        uuid: By which its owner is known.
        state: As virsh calls it: `running`, `paused`, `shut off`, `crashed`, …
    """

    uuid: str
    state: str

    @property
    def is_running(self) -> bool:
        """Return whether it runs; one that waits for something is `idle`."""
        return self.state in ("running", "idle")


@dataclass(frozen=True, slots=True)
class Running:
    """What a driver of libvirt has, by name.

    Attributes:
        domains: Machines.
        networks: Whether each network is up.
    """

    domains: dict[str, Domain] = field(default_factory=dict)
    networks: dict[str, bool] = field(default_factory=dict)


def parse_running(text: str) -> Running:
    """Read the lists that one call of virsh prints, each after its heading."""
    lists = lists_of(text, _UUIDS, (_STATES, _NETWORKS))
    uuids = {name: uuid for uuid, name in (line.split(maxsplit=1) for line in lists[_UUIDS])}
    states = dict(_states(lists[_STATES]))
    rows = (line.split() for line in lists[_NETWORKS])
    return Running(
        {name: Domain(uuid, states[name]) for name, uuid in uuids.items() if name in states},
        {row[0]: row[1] == "active" for row in rows if len(row) > 1},
    )


def parse_running_containers(text: str) -> Running:
    """Read the lists of containers; where the driver isn't installed, there are none."""
    return parse_running(text) if has_driver(text) else Running()


def _states(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and the state of each row: an id, or a dash, goes before them."""
    for line in lines:
        words = line.split()
        if len(words) > 2 and (words[0] == _NO_ID or words[0].isdigit()):
            yield words[1], " ".join(words[2:])


_DOMAINS: Final = ("list --all --uuid --name", section(_STATES), "list --all")

RUNNING: Final = Fact(
    virsh(QEMU, *_DOMAINS, section(_NETWORKS), "net-list --all"),
    parse_running,
    as_root=True,
)
RUNNING_CONTAINERS: Final = Fact(
    ("sh", "-c", f"exec {shlex.join(virsh(LXC, *_DOMAINS))} 2>&1"),
    parse_running_containers,
    as_root=True,
    must_succeed=False,
)
