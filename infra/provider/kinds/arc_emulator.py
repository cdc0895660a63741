"""The ArcEmulator kind: the process that stands in for Azure, set up for one instance."""

from __future__ import annotations

from infra.emulator import daemon
from infra.kvm import emulator_unit
from infra.plugin.operation import Operation
from infra.provider.kind import Kind, Made
from infra.resources.arc_emulator import ARC_EMULATOR, ArcEmulatorInputs, ArcEmulatorState
from infra.ssh import LocalShell


class ArcEmulatorKind(Kind[ArcEmulatorInputs, ArcEmulatorState]):
    """The emulator of an instance, on the machine that runs Pulumi."""

    contract = ARC_EMULATOR

    def create(self, op: Operation, inputs: ArcEmulatorInputs) -> Made[ArcEmulatorState]:
        """Set it up and start it; one that is there keeps what it knows."""
        state = _started(inputs)
        op.info(
            f"{state.url} stands in for Azure: an emulator, with a subscription of its own. Nothing reaches "
            "Azure; `azlocal emulator --help` shows what can be done with it"
        )
        return self.made(state)

    def read(self, op: Operation, id: str, old: ArcEmulatorState | None) -> ArcEmulatorState | None:
        """Return how it is set up; whether it runs is no difference, since whoever needs it starts it."""
        status = daemon.status(daemon.default_folder(id))
        if status is None:
            return None
        return _state(id, status)

    def update(self, op: Operation, id: str, old: ArcEmulatorState, inputs: ArcEmulatorInputs) -> ArcEmulatorState:
        """Have it listen at another address; it keeps what it knows."""
        return _started(inputs)

    def delete(self, op: Operation, id: str, old: ArcEmulatorState) -> None:
        """Stop it, and remove what it knows unless somebody else's resources are left in it."""
        left = daemon.retire(daemon.default_folder(id))
        if not left:
            emulator_unit.uninstall(LocalShell(), id)
        else:
            op.info(
                f"the emulator is stopped and its folder {old.folder} stays, since it has resources that this "
                f"stack didn't make: {', '.join(left)}. `azlocal emulator stop --remove --force -i {id}` "
                "removes all of it"
            )


def _started(inputs: ArcEmulatorInputs) -> ArcEmulatorState:
    folder = daemon.default_folder(inputs.instance)
    daemon.initialise(folder, agent_address=inputs.agent_address)
    running = daemon.ensure_running(folder)
    emulator_unit.install(LocalShell(), inputs.instance, folder)
    return _state(inputs.instance, running)


def _state(instance: str, emulator: daemon.Emulator) -> ArcEmulatorState:
    settings = emulator.settings
    return ArcEmulatorState(
        instance=instance,
        agent_address=settings.agent_address or "",
        folder=str(emulator.folder),
        url=settings.url,
        agent_url=settings.agent_url,
        subscription_id=settings.subscription_id,
        tenant_id=settings.tenant_id,
    )
