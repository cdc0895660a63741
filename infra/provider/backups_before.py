"""The snapshot that `up` takes of a cluster that stands, before its control planes change: once in a run."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from infra.errors import Interrupted, UserError
from infra.kubernetes.api import ClusterError
from infra.kubernetes.upgrade import configured_version
from infra.kvm.errors import HostError
from infra.lifecycle.backups import places
from infra.plugin.operation import Operation
from infra.provider.backups import Backups
from infra.provider.cluster_view import ClusterView
from infra.provider.kinds.base import mark_for
from infra.provider.lives import ClusterRun
from infra.resources.control_plane import Member
from infra.ssh import ShellError

_SECONDS: Final = 600.0


def back_up(
    op: Operation,
    run: ClusterRun,
    view: ClusterView,
    planes: Iterable[Member],
    reason: str,
    *,
    is_required: bool,
) -> None:
    """Take a snapshot, unless this run has tried to.

    Args:
        op: The operation.
        run: The cluster in this run.
        view: It, as it is seen.
        planes: The control planes that stand.
        reason: What it is taken before.
        is_required: Whether nothing may be changed without one.

    Raises:
        HostError: It is required, and can't be taken; says what to do.
    """
    with run.backing_up:
        if run.is_backed_up:
            return
        op.status("taking a snapshot of etcd, before control planes change")
        try:
            name = _taken(op, run, view, planes, reason)
        except Interrupted:
            raise
        except (UserError, ShellError) as error:
            if is_required:
                raise HostError(
                    f"{error}. Nothing was changed: this change leaves no other way back to the data of cluster "
                    f"{run.placement.cluster} than a snapshot. Repair that (`azlocal backup` tries the same), "
                    "then run `pulumi up` again"
                ) from error
            op.warning(f"{error}. Other members of etcd have the data, so the change goes on")
        else:
            op.info(f"a snapshot of etcd is kept: {name}")
        run.is_backed_up = True


def _taken(op: Operation, run: ClusterRun, view: ClusterView, planes: Iterable[Member], reason: str) -> str:
    keeper, placement = run.keeper, run.placement
    if keeper is None:
        raise HostError("no snapshot of etcd can be kept in a run that leaves the cluster's machines out")
    etcd, version = view.etcd({plane.name: plane.address for plane in planes}), placement.version
    with suppress(ClusterError):
        version = configured_version(view.answering()) or version
    standing = {n: m for n, m in [*run.machines.items()] if not m.lost and n not in run.absent}
    hosts = places(
        [machine.connection for name, machine in standing.items() if name in etcd.urls],
        [machine.connection for machine in standing.values()],
    )
    backups = Backups(
        lambda connection: keeper.session(op, connection),
        mark_for(op, placement.instance),
        op.work().within(_SECONDS),
    )
    return backups.take(placement, version, etcd, hosts, reason).name
