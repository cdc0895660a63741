"""What the kinds that live on a host have in common: a session on it, an id that names it, a mark."""

from __future__ import annotations

from contextlib import AbstractContextManager

from infra.kvm.connection import Hosts, HostSession
from infra.kvm.errors import HostError
from infra.kvm.ownership import Mark
from infra.provider.kind import InputsT, Kind, Made, StateT
from infra.provider.operation import Operation


class HostedKind(Kind[InputsT, StateT]):
    """A kind whose objects stand on one host."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    def session(self, op: Operation, connection: str) -> AbstractContextManager[HostSession]:
        """Borrow the host; waits its turn, stops when the run is cancelled."""
        op.check_cancelled()
        return self._hosts.session(connection, op.cancelled, op.status)

    def made(self, state: StateT) -> Made[StateT]:
        """Return what was made under the id that its contract gives it."""
        return Made(self.contract.id_of(state.to_wire()), state)


def parse_id(id: str, example: str) -> tuple[str, str]:
    """Split an id into the host's connection and the object's name.

    Raises:
        HostError: the id, typed for an import, has another form.
    """
    connection, separator, name = id.rpartition("#")
    if not separator or not connection or not name:
        raise HostError(f"{id!r} is no id; one looks like {f'qemu:///system#{example}'!r}")
    return connection, name


def mark_for(op: Operation, instance: str) -> Mark:
    """Return the mark that this resource's objects carry."""
    return Mark(instance, op.stack, op.urn)
