"""What the kinds that live on a host have in common: a session on it, an id that names it, a mark, an end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from infra.kvm.connection import Hosts, HostSession
from infra.kvm.errors import HostError, HostUnreachable
from infra.kvm.ownership import Mark
from infra.plugin.operation import Operation
from infra.provider.kind import InputsT, Kind, StateT


class HostedKind(Kind[InputsT, StateT]):
    """A kind whose objects stand on one host."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    def session(self, op: Operation, connection: str) -> AbstractContextManager[HostSession]:
        """Borrow the host; waits its turn, stops when the run is cancelled."""
        op.check_cancelled()
        return self._hosts.session(connection, op.work())

    def delete(self, op: Operation, id: str, old: StateT) -> None:
        """Remove the object; what stood on a host that is lost is forgotten, and the host isn't asked.

        Raises:
            HostUnreachable: the host doesn't answer, and nobody said that it is lost.
        """
        connection, _ = parse_id(id, "local")
        if self._hosts.is_lost(connection):
            op.info(f"forgotten, not removed: {connection} is lost")
            return
        with answering_host():
            self.remove(op, old)

    @abstractmethod
    def remove(self, op: Operation, old: StateT) -> None:
        """Remove the object from its host and wait until it is gone; success when it already is."""


@contextmanager
def answering_host() -> Iterator[None]:
    """Say what to do where a host doesn't answer from which something is to go.

    Raises:
        HostUnreachable: It doesn't.
    """
    try:
        yield
    except HostUnreachable as error:
        raise HostUnreachable(
            f"{error} What it has of the instance stays there. If the host is gone for good, have it in "
            "hosts/*.yaml with `lost: true`: `pulumi up` and `make down` ask it nothing then."
        ) from error


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
