"""The Host kind: reach it, learn what it can run, keep azlocal's folder and pool on it."""

from __future__ import annotations

import posixpath

import libvirt

from infra.kvm import clone_store, machines, probe
from infra.kvm.connection import HostSession
from infra.kvm.domain_xml import from_xml
from infra.kvm.errors import HostError
from infra.kvm.networks import remove_network
from infra.kvm.ownership import Mark
from infra.kvm.storage import ensure_pool, find_pool, remove_pool
from infra.provider.kind import Made
from infra.provider.kinds.base import HostedKind, mark_for, object_id, parse_id
from infra.provider.operation import Operation
from infra.resources.host import HOST, HostInputs, HostState


class HostKind(HostedKind[HostInputs, HostState]):
    """A KVM host. Everything else of the instance depends on it, so it is made first and removed last."""

    contract = HOST

    def create(self, op: Operation, inputs: HostInputs) -> Made[HostState]:
        """Make the storage directory and pool, and find out what the host runs."""
        with self.session(op, inputs.connection) as session:
            return Made(object_id(inputs.connection, inputs.instance), self._prepare(op, session, inputs))

    def read(self, op: Operation, id: str, old: HostState | None) -> HostState | None:
        """Return the host's facts; None when azlocal's pool isn't on it."""
        connection, instance = parse_id(id, "local")
        with self.session(op, connection) as session:
            name = pool_name(instance)
            pool = find_pool(session.qemu, name)
            mark = mark_for(op, instance)
            if pool is None or not mark.owns("pool", name, pool.UUIDString()):
                return None
            ...

    def update(self, op: Operation, id: str, old: HostState, inputs: HostInputs) -> HostState:
        """Mount and start again what a reboot or a hand has stopped; choose the machine type again."""
        with self.session(op, inputs.connection) as session:
            return self._prepare(op, session, inputs)
