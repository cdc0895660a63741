"""The SnapshotSchedule kind: a host's timer, and whether what it takes is taken."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from infra.kubernetes.etcd import PORT
from infra.kubernetes.pki import etcd_client
from infra.kvm.connection import HostSession
from infra.kvm.errors import HostError
from infra.kvm.snapshot_timer import SnapshotTimer, remove_units
from infra.plugin.operation import Operation
from infra.provider.kind import Changes, Made
from infra.provider.kinds.base import HostedKind, mark_for
from infra.provider.kinds.host_owner import standing_directory
from infra.resources.snapshot_schedule import (
    SNAPSHOT_SCHEDULE,
    SnapshotScheduleInputs,
    SnapshotScheduleState,
)
from infra.ssh import ShellError


class SnapshotScheduleKind(HostedKind[SnapshotScheduleInputs, SnapshotScheduleState]):
    """Snapshots of a cluster by a timer."""

    contract = SNAPSHOT_SCHEDULE

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Say, in each run, where snapshots aren't taken as they are to be."""
        old = SnapshotScheduleState.model_validate(state)
        if changes.replaces() or self._hosts.is_lost(old.connection):
            return
        # The host itself says more of why it can't be asked.
        with suppress(HostError, ShellError), self.session(op, old.connection) as session:
            if (timer := _timer(op, session, old)) is not None:
                _warn(op, old, timer)

    def create(self, op: Operation, inputs: SnapshotScheduleInputs) -> Made[SnapshotScheduleState]:
        """Install the timer."""
        return self.made(self._install(op, inputs))

    def read(self, op: Operation, id: str, old: SnapshotScheduleState | None) -> SnapshotScheduleState | None:
        """Return how it goes; None where the timer is gone: `up` makes it again."""
        if old is None or self._hosts.is_lost(old.connection):
            return old
        with self.session(op, old.connection) as session:
            timer = _timer(op, session, old)
            if timer is None or not timer.stands():
                return None
            _warn(op, old, timer)
            return old.model_copy(update={"failure": timer.status().failure})

    def update(
        self, op: Operation, id: str, old: SnapshotScheduleState, inputs: SnapshotScheduleInputs
    ) -> SnapshotScheduleState:
        """Install it again, as it is wanted now."""
        return self._install(op, inputs)

    def remove(self, op: Operation, old: SnapshotScheduleState) -> None:
        """Take the timer away, and the key with it; snapshots stay."""
        with self.session(op, old.connection) as session:
            if (timer := _timer(op, session, old)) is not None:
                timer.remove()
            else:
                remove_units(session.shell, old.instance, old.cluster)

    def _install(self, op: Operation, inputs: SnapshotScheduleInputs) -> SnapshotScheduleState:
        op.status(f"a timer on {inputs.connection} takes a snapshot every {inputs.every_hours} h")
        with self.session(op, inputs.connection) as session:
            timer = _timer(op, session, inputs)
            if timer is None:
                raise HostError(
                    f"{inputs.connection} has no storage of instance {inputs.instance} to keep snapshots in"
                )
            members = [f"{address}:{PORT}" for address in inputs.members]
            authority, client = inputs.etcd_keys["etcd/ca.crt"], etcd_client(inputs.etcd_keys)
            timer.install(members, inputs.ca_hash, authority, client, inputs.every_hours, inputs.keep)
            _warn(op, inputs, timer)
            return SnapshotScheduleState(**inputs.model_dump(), failure=timer.status().failure)


def _timer(op: Operation, session: HostSession, inputs: SnapshotScheduleInputs) -> SnapshotTimer | None:
    directory = standing_directory(session, mark_for(op, inputs.instance))
    return SnapshotTimer(session.shell, directory, inputs.instance, inputs.cluster) if directory else None


def _warn(op: Operation, inputs: SnapshotScheduleInputs, timer: SnapshotTimer) -> None:
    status = timer.status()
    if status.failure:
        op.warning(
            f"{inputs.connection} takes no snapshots of cluster {inputs.cluster} since {status.failing_since}: "
            f"{status.failure}. The last one is {status.last or 'none'}"
        )
    if not timer.runs:
        op.warning(
            f"{inputs.connection} has no systemd whose timer takes snapshots of cluster {inputs.cluster}: have "
            f"another scheduler there run `{' '.join(timer.command)}` as root every {inputs.every_hours} h"
        )
