"""The keys of Secrets around a restore: a snapshot from before a rotation is read with those that were retired."""

from __future__ import annotations

from infra.errors import UserError
from infra.model.encryption_keys import EncryptionKeys
from infra.stack.clusters import StackCluster, cluster_of
from infra.stack.messages import say
from infra.stack.restore.planes import Plane
from infra.stack.restore.source import Source
from infra.stack.rotation.flow import Rotation, Tell
from infra.stack.rotation.planes import write
from infra.stack.state import Stack


def needed(keys: EncryptionKeys, used: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of the keys that control planes need for a snapshot, the one that encrypts first. Pure.

    Args:
        keys: Of the cluster.
        used: Under which keys the snapshot has Secrets; None: nobody looked, so it may be any.
    """
    older = [name for name in keys.by_name if name not in keys.names and (used is None or name in used)]
    return (*keys.names, *older)


def told_older_keys(stack: Stack, cluster: StackCluster, source: Source, tell: Tell) -> StackCluster:
    """Have state tell control planes the retired keys that a snapshot needs; return the cluster as it is then.

    State is told before they are: one that is made later, since it is gone now, has to read what is restored.

    Raises:
        UserError: State can't be told; nothing was changed.
    """
    used = source.backup.encryption_keys if source.backup else None
    names = needed(cluster.keys, used)
    if names == cluster.keys.names:
        return cluster
    say(f"the snapshot is from before a rotation: to its end, control planes read by {', '.join(names[1:])}, too")
    tell(cluster, cluster.keys.telling(names))
    return cluster_of(stack, cluster.name)


def write_keys(plane: Plane, keys: EncryptionKeys) -> None:
    """Write what state says into a control plane that is stopped, where it may have had less.

    Raises:
        UserError: It can't be.
    """
    if len(keys.current) > 1:
        with plane.shell() as shell:
            write(shell, keys.current)


def end_rotation(stack: Stack, cluster: StackCluster, tell: Tell, *, is_whole: bool) -> None:
    """Bring what was restored under the key in use, and take the others away, once all control planes run."""
    if len(cluster.keys.current) < 2:
        return
    remedy = f"`azlocal rotate-keys {stack.name} --cluster {cluster.name}`"
    if not is_whole:
        say(f"its Secrets are brought under one key by {remedy}, once all control planes run")
        return
    try:
        Rotation(stack, cluster, tell).finish()
    except UserError as error:
        say(f"its Secrets aren't under one key yet, which {remedy} does: {error}")
