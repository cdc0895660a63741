"""What the kinds that live on a host have in common: a session on it, an id that names it, a mark."""

from __future__ import annotations

from contextlib import AbstractContextManager

from infra.kvm.connection import Hosts, HostSession
from infra.kvm.errors import HostError
from infra.kvm.ownership import Mark
from infra.provider.kind import InputsT, Kind, StateT
from infra.provider.operation import Operation


class HostedKind(Kind[InputsT, StateT]):
    """A kind whose objects stand on one host."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    def session(self, op: Operation, connection: str) -> AbstractContextManager[HostSession]:
        """Borrow the host; waits its turn, stops when the run is cancelled."""
        op.check_cancelled()
        return self._hosts.session(connection, op.cancelled, op.status)


def object_id(connection: str, name: str) -> str:
    """Return the id of an object on a host, as `pulumi import` takes it."""
    return f"{connection}#{name}"


def parse_id(id: str, what: str) -> tuple[str, str]:
    """Split an id into the host's connection and the object's name.

    Raises:
        HostError: the id, typed for an import, has another form.
    """
    connection, separator, name = id.rpartition("#")
    if not separator or not connection or not name:
        raise HostError(f"{id!r} is no id of a {what}; one looks like {object_id('qemu:///system', what)!r}")
    return connection, name


def mark_for(op: Operation, instance: str) -> Mark:
    """Return the mark that this resource's objects carry."""
    return Mark(instance, op.stack, op.urn)
