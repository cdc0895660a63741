"""The spare: a machine that stands on a cluster's spare address while another one is replaced.

It holds the cluster's data in place of the only control plane, or runs pods in place of a worker. No resource
declares it: it comes and goes within one run. A run that is killed meanwhile leaves it standing, and the next one
finds it by its name. It is made where the one that it stands in for is to be, and as that one in all else.
"""

from __future__ import annotations

from infra.guest import Seed
from infra.kvm.errors import HostError
from infra.lifecycle.wanted import WantedNode
from infra.model.machine_traits import TRAITS
from infra.model.node import NodeSettings
from infra.node_labels import POOL_LABEL
from infra.plugin.operation import Operation
from infra.provider.lives import ClusterRun, Leaver
from infra.resources.machine import MachineInputs, MachineState
from infra.resources.node_placement import Spare as SpareInputs


class Spare:
    """The spare of one cluster."""

    def __init__(self, run: ClusterRun) -> None:
        """Nothing is looked for yet."""
        self._run = run
        self._state: MachineState | None = None
        self._has_looked = False

    @property
    def name(self) -> str:
        """Return its name, whether it stands or not; empty of a cluster that has none."""
        return self._run.placement.spare.name if self._run.placement.spare else ""

    @property
    def stands(self) -> bool:
        """Return whether it stands, as far as it was looked for."""
        return self._state is not None

    @property
    def leaver(self) -> Leaver | None:
        """Return it as what leaves the cluster; None where it doesn't stand."""
        return Leaver.of(self._state) if self._state else None

    @property
    def pool(self) -> str:
        """Return the pool of the workers whose pods it takes; empty where it doesn't stand, or holds data."""
        node = self._state.first_boot.node if self._state else None
        return node.labels.get(POOL_LABEL, "") if node else ""

    def look(self, op: Operation) -> None:
        """Look whether it stands, once in a run: on each host that a machine of the cluster is to be on."""
        spare, keeper = self._run.placement.spare, self._run.keeper
        if spare is None or keeper is None or self._has_looked:
            return
        places = {(machine.connection, machine.machine_type): machine for machine in self._run.planned.values()}
        for machine in places.values():
            if (state := keeper.find(op, _as_spare(machine, spare))) is not None:
                self._note(state)
                break
        self._has_looked = True

    def make(self, op: Operation, node: WantedNode) -> None:
        """Make it.

        Args:
            op: The operation.
            node: What it is to be: a control plane, or a worker of a pool.

        Raises:
            HostError: Its host doesn't do it; or nobody knows in this run what it is to be as.
        """
        spare, like, keeper = self._run.placement.spare, self._like(node), self._run.keeper
        if spare is None or like is None or keeper is None:
            raise HostError(
                f"this run leaves out the machine of cluster {self._run.placement.cluster} whose place its spare "
                "is to take: run it without --target and --exclude"
            )
        self._note(keeper.make(op, _as_spare(like, spare, tuple(self._run.placement.control_planes.values()))))

    def remove(self, op: Operation) -> None:
        """Remove it, after it has left the cluster."""
        if self._state is not None and self._run.keeper is not None:
            self._run.keeper.remove(op, self._state)
        self._state = None

    def beside(self, inputs: MachineInputs) -> MachineInputs:
        """Return a control plane that is to be made, knowing of the spare if that holds the data."""
        spare, leaver = self._run.placement.spare, self.leaver
        if leaver is None or leaver.role != "controlPlane" or spare is None:
            return inputs
        settings = inputs.node_settings or NodeSettings()
        peers = (*settings.peers, spare.host_address)
        return inputs.model_copy(update={"node_settings": settings.model_copy(update={"peers": peers})})

    def _note(self, state: MachineState) -> None:
        self._state = state
        self._run.note(state.to_wire())

    def _like(self, node: WantedNode) -> MachineInputs | None:
        """Return a machine that it is to be as; None where none is known in this run."""
        placement = self._run.placement
        names = (
            placement.control_planes
            if node.role == "controlPlane"
            else [name for name, pool in placement.surging.items() if pool == node.pool]
        )
        return next((self._run.planned[name] for name in names if name in self._run.planned), None)


def joining_workers(settings: NodeSettings | None) -> NodeSettings:
    """Return the settings of a worker that takes no pods before it forwards packets, as others do that already."""
    return (settings or NodeSettings()).model_copy(update={"joins_workers": True})


def _as_spare(like: MachineInputs, spare: SpareInputs, planes: tuple[str, ...] = ()) -> MachineInputs:
    """Return what the spare is told, in the place of a machine. Pure.

    Args:
        like: The machine.
        spare: What is its own.
        planes: Addresses of the cluster's control planes.
    """
    node, settings = like.first_boot.node, like.node_settings
    if node is not None and node.role == "controlPlane":
        node = node.model_copy(update={"number": len(planes)})
        settings = (settings or NodeSettings()).model_copy(update={"peers": planes})
    elif node is not None:
        settings = joining_workers(settings)
    first_boot = like.first_boot.model_copy(
        update={"hostname": spare.name, "address": spare.address, "node": node}
    )
    return like.model_copy(
        update={
            "name": spare.name,
            "mac_address": spare.mac_address,
            "first_boot": first_boot,
            "node_settings": settings,
            "seed_digest": Seed(spare.name, first_boot, TRAITS[like.machine_type]).digest(),
        }
    )
