"""The clusters of a run: which of them stay, and what is known of their machines meanwhile.

A plugin process serves one run. The program names each cluster that stays (NodePlacement) before any machine of it
is looked at; so a machine that is removed leaves its cluster first if that was named, and where a cluster goes,
in `destroy` or with its section of the file, nobody waits for a drain.

Light, since every `up` has it: what acts on a cluster is imported when a machine of it comes or goes.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from infra.model.node import NodeMarks, NodeRole
from infra.resources.changes.machine import Neighbours
from infra.resources.control_plane import Member
from infra.resources.machine import MachineInputs, MachineState
from infra.resources.node_placement import NodePlacementInputs

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from infra.kvm.connection import HostSession
    from infra.plugin.operation import Operation
    from infra.provider.life import ClusterLife


@dataclass(frozen=True)
class Leaver:
    """A machine that leaves its cluster, or whose leavings go before it comes.

    Attributes:
        name: The machine's.
        role: What it is in its cluster.
        address: Its own, without the subnet's length.
        host_key: Its SSH host key.
        lost: It is gone already: only what it left is removed.
    """

    name: str
    role: NodeRole
    address: str
    host_key: str = ""
    lost: bool = False

    @classmethod
    def of(cls, machine: MachineInputs, *, lost: bool = False) -> Leaver | None:
        """Return what leaves with a machine; None where it is no node."""
        node = machine.first_boot.node
        if node is None:
            return None
        host_key = machine.ssh_host_key if isinstance(machine, MachineState) else ""
        return cls(machine.name, node.role, machine.first_boot.host_address, host_key, lost)

    @property
    def member(self) -> Member:
        """Return the machine as those know it who log in there."""
        return Member(name=self.name, role=self.role, address=self.address, ssh_host_key=self.host_key)


@dataclass(frozen=True)
class StandingMachine:
    """A machine as state has it."""

    connection: str
    host_key: str
    lost: bool
    address: str = ""
    version: str = ""
    image: str = ""
    marks: NodeMarks | None = None
    identity_files: tuple[str, ...] = ()


class Keeper(Protocol):
    """Makes and removes a machine that no resource declares: it stands only during a change. Knows the hosts."""

    def session(self, op: Operation, connection: str) -> AbstractContextManager[HostSession]:
        """Borrow a host."""

    def make(self, op: Operation, inputs: MachineInputs) -> MachineState:
        """Make a machine, or take over the one that stands; return it when SSH answers."""

    def find(self, op: Operation, inputs: MachineInputs) -> MachineState | None:
        """Return the machine as it stands; None where it doesn't."""

    def remove(self, op: Operation, old: MachineState) -> None:
        """Remove it with its disk."""


@dataclass
class ClusterRun:
    """A cluster that stays, in this run.

    Attributes:
        placement: What the program says of it.
        is_new: There is no cluster: its placement was made in this run, or it is founded again.
        machines: Those that were looked at, by name.
        absent: Machines that have left, or are to be made, and don't stand yet.
        replaced: Machines that have left in this run, and may come back.
        changes: Grows with each machine that comes or goes.
        turn: Held while a control plane is changed.
        planned: What the program says of machines that were looked at or made, by name.
        keeper: Who makes machines.
        rolls: The Kubernetes version of its nodes changes.
        backing_up: Held while a snapshot is taken, before control planes change.
        is_backed_up: That was tried in this run.
        replacing: Machines that are to be replaced, and haven't come back yet.
        surges: Whether the spare takes the pods of workers that are replaced.
    """

    placement: NodePlacementInputs
    is_new: bool = False
    machines: dict[str, StandingMachine] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    changes: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)
    planned: dict[str, MachineInputs] = field(default_factory=dict)
    keeper: Keeper | None = None
    rolls: bool = False
    backing_up: threading.Lock = field(default_factory=threading.Lock)
    is_backed_up: bool = False
    replacing: set[str] = field(default_factory=set)
    surges: bool = True

    def neighbours(self, name: str) -> Neighbours:
        """Return what a machine of it has beside it."""
        return Neighbours(
            planes=len(self.placement.control_planes),
            has_spare=self.placement.spare is not None,
            rolls_images=self.placement.rolls_images,
            surges=name in self.placement.surging,
        )

    @property
    def identity_files(self) -> tuple[str, ...]:
        """Return private keys that log in to its machines: those of now, and of before a change of login keys."""
        of_machines = [machine.identity_files for machine in [*self.machines.values()]]
        return tuple(dict.fromkeys(itertools.chain(self.placement.identity_files, *of_machines)))

    @cached_property
    def life(self) -> ClusterLife:
        """Return what acts on the cluster."""
        from infra.provider.life import ClusterLife

        return ClusterLife(self)

    def note(self, state: Mapping[str, Any]) -> None:
        """Remember a machine, by wire name, as state has it."""
        first_boot = state.get("firstBoot") or {}
        node = first_boot.get("node") or {}
        self.machines[state["name"]] = StandingMachine(
            state["connection"],
            state.get("sshHostKey", ""),
            bool(state.get("lost")),
            first_boot.get("address", "").partition("/")[0],
            node.get("version", ""),
            state.get("image", ""),
            NodeMarks.model_construct(labels=node.get("labels") or {}, taints=tuple(node.get("taints") or ())),
            tuple(state.get("identityFiles") or ()),
        )

    def has_moved_away(self, machine: MachineState) -> bool:
        """Return whether a machine's node runs elsewhere by now: it came there live, or was made there already."""
        is_wanted = machine.name in {*self.placement.hosts, *self.placement.control_planes}
        known = self.machines.get(machine.name)
        stands_elsewhere = known is not None and not known.lost and known.connection != machine.connection
        return is_wanted and stands_elsewhere


class Lives:
    """The clusters that stay, by `<instance>-<cluster>`, as nodes name theirs."""

    def __init__(self, refounded: frozenset[str] = frozenset()) -> None:
        """Know none yet; `refounded` are founded again: they aren't there, whatever state says."""
        self._refounded = refounded
        self._clusters: dict[str, ClusterRun] = {}
        self._lock = threading.Lock()

    def announce(self, placement: NodePlacementInputs) -> None:
        """Take a cluster as one that stays."""
        with self._lock:
            run = ClusterRun(placement, is_new=_key(placement) in self._refounded)
            self._clusters.setdefault(_key(placement), run).placement = placement

    def begin(self, placement: NodePlacementInputs) -> None:
        """Take a cluster as one that isn't there yet."""
        self.announce(placement)
        self._clusters[_key(placement)].is_new = True

    def of(self, cluster: str) -> ClusterRun | None:
        """Return a cluster; None where it goes, or nothing can be asked of it."""
        return self._clusters.get(cluster)

    def rolls(self, state: Mapping[str, Any]) -> bool:
        """Return whether the version changes of the cluster that an object is of, as state has it."""
        run = self.of(f"{state['instance']}-{state['cluster']}")
        return run is not None and run.rolls

    def of_machine(self, machine: MachineInputs) -> ClusterRun | None:
        """Return the cluster that a machine is a node of."""
        node = machine.first_boot.node
        return self.of(node.cluster) if node else None


def _key(placement: NodePlacementInputs) -> str:
    return f"{placement.instance}-{placement.cluster}"
