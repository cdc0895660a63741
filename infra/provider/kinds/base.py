"""What the kinds that live on a host have in common: a session on it, an id that names it, a mark, an end."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager

from infra.kvm.connection import Hosts, HostSession
from infra.kvm.errors import HostError, HostUnreachable
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

    def delete(self, op: Operation, id: str, old: StateT) -> None:
        """Remove the object; what stood on a host that is lost is forgotten, and the host isn't asked.

        Raises:
            HostUnreachable: the host doesn't answer, and nobody said that it is lost.
        """
        connection, _ = parse_id(id, "local")
        if self._hosts.is_lost(connection):
            op.info(f"forgotten, not removed: {connection} is lost")
            return
        try:
            self.remove(op, old)
        except HostUnreachable as error:
            raise HostUnreachable(
                f"{error} What it has of the instance stays there. If the host is gone for good, have it in "
                "hosts/*.yaml with `lost: true`: `pulumi up` and `make down` ask it nothing then."
            ) from error

    @abstractmethod
    def remove(self, op: Operation, old: StateT) -> None:
        """Remove the object from its host and wait until it is gone; success when it already is."""

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
