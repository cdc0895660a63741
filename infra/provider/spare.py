"""The spare: a machine that holds a cluster's data while the only control plane is replaced.

No resource declares it: it comes and goes within one run. A run that is killed meanwhile leaves it standing, and
the next one finds it by its name. It is made where the control plane is to be, and as that one in all else.
"""

from __future__ import annotations

from infra.guest import Seed
from infra.kvm.errors import HostError
from infra.model.machine_traits import TRAITS
from infra.model.node import NodeSettings
from infra.plugin.operation import Operation
from infra.provider.lives import ClusterRun, Leaver
from infra.resources.machine import MachineInputs, MachineState


class Spare:
    """The spare of one cluster."""

    def __init__(self, run: ClusterRun) -> None:
        """Nothing is looked for yet."""
        self._run = run
        self._state: MachineState | None = None
        self._has_looked = False

    @property
    def stands(self) -> bool:
        """Return whether it stands, as far as it was looked for."""
        return self._state is not None

    @property
    def leaver(self) -> Leaver | None:
        """Return it as what leaves the cluster; None where it doesn't stand."""
        return Leaver.of(self._state) if self._state else None

    def look(self, op: Operation) -> None:
        """Look whether it stands, once in a run."""
        inputs = self._inputs()
        if inputs is not None and self._run.keeper is not None and not self._has_looked:
            self._note(self._run.keeper.find(op, inputs))

    def make(self, op: Operation) -> None:
        """Make it.

        Raises:
            HostError: Its host doesn't do it; or nobody knows in this run what it is to be as.
        """
        inputs = self._inputs()
        if inputs is None or self._run.keeper is None:
            raise HostError(
                f"this run leaves out the control plane of cluster {self._run.placement.cluster} whose place its "
                "spare is to take: run it without --target and --exclude"
            )
        self._note(self._run.keeper.make(op, inputs))

    def remove(self, op: Operation) -> None:
        """Remove it, after it has left the cluster."""
        if self._state is not None and self._run.keeper is not None:
            self._run.keeper.remove(op, self._state)
        self._state = None

    def beside(self, inputs: MachineInputs) -> MachineInputs:
        """Return a control plane that is to be made, knowing of the spare if that stands."""
        spare = self._run.placement.spare
        if not self.stands or spare is None:
            return inputs
        settings = inputs.node_settings or NodeSettings()
        peers = (*settings.peers, spare.host_address)
        return inputs.model_copy(update={"node_settings": settings.model_copy(update={"peers": peers})})

    def _note(self, state: MachineState | None) -> None:
        self._state, self._has_looked = state, True
        if state is not None:
            self._run.note(state.to_wire())

    def _inputs(self) -> MachineInputs | None:
        """Return what it is to be; None of a cluster that has none, or of whose control plane nothing is known."""
        spare, planes = self._run.placement.spare, self._run.placement.control_planes
        like = next((self._run.planned[name] for name in planes if name in self._run.planned), None)
        if spare is None or like is None or len(planes) > 1 or like.first_boot.node is None:
            return None
        node = like.first_boot.node.model_copy(update={"number": len(planes)})
        first_boot = like.first_boot.model_copy(
            update={"hostname": spare.name, "address": spare.address, "node": node}
        )
        settings = (like.node_settings or NodeSettings()).model_copy(update={"peers": tuple(planes.values())})
        return like.model_copy(
            update={
                "name": spare.name,
                "mac_address": spare.mac_address,
                "first_boot": first_boot,
                "node_settings": settings,
                "seed_digest": Seed(spare.name, first_boot, TRAITS[like.machine_type]).digest(),
            }
        )
