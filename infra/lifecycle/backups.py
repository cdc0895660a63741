"""Snapshots of etcd: when one is taken, where it is kept and how many, which is restored. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from infra.lifecycle.steps import DestroyMachine, FinishUpgrade, PrepareUpgrade, Step, WaitForHealth
from infra.model.backup import BY_WISH, SCHEDULED, Backup
from infra.model.node import NodeRole

MARGIN: Final = 1_000_000_000
"""Between the newest known revision and the first after a restore: etcd's own example."""

MOST: Final = 5
"""How many of a cluster's snapshots that were wished for are kept; and as many that were taken before changes.

Each kind for itself, so that a day of many changes doesn't cost the snapshot that somebody took on purpose.
"""


def surplus(backups: Iterable[Backup], cluster: str) -> list[Backup]:
    """Return which of a cluster's snapshots go, so that the newest stay; a schedule removes its own."""
    newest = sorted(
        (each for each in backups if each.cluster == cluster), key=lambda each: each.taken, reverse=True
    )
    wished = [each for each in newest if each.reason == BY_WISH]
    others = [each for each in newest if each.reason not in (BY_WISH, SCHEDULED)]
    return [*wished[MOST:], *others[MOST:]]


def places(planes: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return on which hosts a snapshot is kept: two where there are two, so that the loss of either costs none.

    Args:
        planes: Connections of the hosts of the cluster's control planes that stand, the leader's first.
        others: Connections of the instance's other hosts.
    """
    return tuple(dict.fromkeys((*planes, *sorted(others))))[:2]


def comes_before(step: Step, role: NodeRole) -> bool:
    """Return whether a snapshot is taken before a step: it changes control planes, and isn't the last of a change.

    Args:
        step: What is to be done.
        role: Of the machine that leaves or comes.
    """
    if isinstance(step, PrepareUpgrade):
        return True
    return role == "controlPlane" and not isinstance(step, FinishUpgrade | DestroyMachine | WaitForHealth)


def is_required(step: Step | None, name: str, planes: Collection[str]) -> bool:
    """Return whether nothing is changed where no snapshot can be taken.

    So it is where nothing else would bring the data back: where the only control plane is replaced, and where the
    version changes, after which no older API server reads what a newer one has written. Elsewhere other members
    have the data, and to hold back a repair or one more member would cost more than the snapshot is worth.

    Args:
        step: What is to be done; None where a control plane comes.
        name: The machine that leaves or comes.
        planes: The control planes that are wanted.
    """
    return isinstance(step, PrepareUpgrade) or (step is not None and [*planes] == [name])


def raised_by(revision: int, seen: Iterable[int], now: float, *, answers: bool) -> int:
    """Return by how much the revisions of a snapshot are raised: above all that any client has seen.

    etcd.io/docs, "Restoring with revision bump": a client that has seen a later revision than it is told now takes
    what is new for old. A fixed number isn't enough where a cluster was restored before: an old snapshot would
    come back below that. Where nobody tells the newest revision, time does: no cluster writes a thousand times a
    second for all its life.

    Args:
        revision: The snapshot's, or less.
        seen: Revisions that the cluster had at some time, as far as they are known.
        now: Seconds since 1970.
        answers: Whether the newest one is among them.
    """
    newest = max([revision, *seen, 0 if answers else int(now) * 1000])
    return newest - revision + MARGIN


def misfit(backup: Backup, ca_hash: str, version: str, keys: Collection[str]) -> str:
    """Return why a snapshot can't be restored into a cluster, a clause; nothing where it can.

    Args:
        backup: The snapshot.
        ca_hash: The pin of the cluster's authority.
        version: Of its control planes, without the v.
        keys: The names of the keys of Secrets that its state has, retired ones among them.
    """
    if backup.ca_hash != ca_hash:
        return "it is of a cluster of that name with other keys, which was re-created since"
    if backup.kubernetes_version != version:
        return (
            f"it is of Kubernetes {backup.kubernetes_version} and the control planes run {version}: what the "
            "cluster ran then, they don't have"
        )
    if missing := sorted({*(backup.encryption_keys or ())} - {"", *keys}):
        return (
            f"its Secrets are under {', '.join(missing)}, a key that was rotated since and that the stack's state "
            "doesn't have: nobody could read them"
        )
    return ""
