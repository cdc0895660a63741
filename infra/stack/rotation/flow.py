"""A rotation of the key of a cluster's Secrets, step by step, as infra.lifecycle.key_rotation says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from infra.errors import UserError
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.stored_secrets import PREFIX, keys_in_use, rewrite_secrets
from infra.lifecycle.key_rotation import KeysSeen, RewriteSecrets, Step, TellPlane, TellState, next_step
from infra.model.encryption_keys import ROTATED_AFTER, EncryptionKeys, new_encryption_key
from infra.stack.backup import StackBackups
from infra.stack.clusters import StackCluster, cluster_of, clusters_of
from infra.stack.messages import say
from infra.stack.restore.planes import Plane, Standing, look
from infra.stack.rotation import planes as planes_module
from infra.stack.rotation.planes import HeldKeys
from infra.stack.state import Stack

_BEFORE: Final = "before a rotation of the key of Secrets"
_TRIES: Final = 3

Tell = Callable[[StackCluster, EncryptionKeys], None]
"""Has state say other keys of a cluster."""


def rotate(stack: Stack, name: str | None, tell: Tell, *, only_due: bool) -> None:
    """Give clusters of a stack another key; where a rotation was interrupted, go on with that.

    Args:
        stack: The stack.
        name: Of the cluster in it; None: all whose Secrets are encrypted.
        tell: Has state say other keys.
        only_due: Those alone whose key is older than a month, or whose rotation was interrupted.

    Raises:
        UserError: One can't be rotated, or a step fails; says why. The same command goes on.
    """
    clusters = [cluster_of(stack, name)] if name else clusters_of(stack)
    if not clusters:
        raise UserError(f"stack {stack.name} has no cluster that Kubernetes is on")
    now = datetime.now(UTC)
    for cluster in clusters:
        if not cluster.keys.current:
            refusal = (
                f"cluster {cluster.name} keeps its Secrets in etcd unencrypted, as it was founded: it has no key "
                "that could be rotated"
            )
            if name:
                raise UserError(refusal)
            say(refusal)
        elif only_due and not is_due(cluster.keys, now):
            say(f"cluster {cluster.name}: its key is younger than {ROTATED_AFTER.days} days")
        else:
            _rotate(stack, cluster, tell, now)


def is_due(keys: EncryptionKeys, now: datetime) -> bool:
    """Return whether keys are to be rotated: the newest is older than a month, or of unknown age, or not alone."""
    made = keys.made.get(keys.newest)
    return len(keys.current) > 1 or made is None or now - datetime.fromisoformat(made) > ROTATED_AFTER


def _rotate(stack: Stack, cluster: StackCluster, tell: Tell, now: datetime) -> None:
    backups = StackBackups(stack)
    refuse_unless_whole(cluster, look(cluster, backups.hosts, stack.name, backups.work))
    rotation = Rotation(stack, cluster, tell)
    if len(cluster.keys.current) > 1:
        say(f"cluster {cluster.name}: a rotation was interrupted, which goes on")
    else:
        rotation.look()  # what can't be read is said before anything is changed
        say(f"cluster {cluster.name}: {backups.take(cluster, _BEFORE).name} is kept, a snapshot of what stands")
        rotation.tell(cluster.keys.with_new(new_encryption_key(), now))
    rotation.finish()


def refuse_unless_whole(cluster: StackCluster, standing: Mapping[str, Standing]) -> None:
    """See that all control planes run: one that doesn't would come back without the new key. Pure.

    Raises:
        UserError: One doesn't; or a change of the cluster was interrupted, and its spare stands.
    """
    spare = cluster.placement.spare
    if spare is not None and standing.get(spare.name, "gone") != "gone":
        raise UserError(
            f"{spare.name} stands in cluster {cluster.name}: a change was interrupted, which `azlocal up` ends. "
            "Nothing was changed"
        )
    absent = [name for name, how in standing.items() if how != "runs" and (spare is None or name != spare.name)]
    if absent:
        raise UserError(
            f"{', '.join(absent)} of cluster {cluster.name} doesn't run, and would come back without the new key: "
            "`azlocal refresh` and `azlocal up` bring it back, then rotate. Nothing was changed"
        )


class Rotation:
    """One cluster whose keys are rotated."""

    def __init__(self, stack: Stack, cluster: StackCluster, tell: Tell) -> None:
        """Nothing is asked yet; `tell` has state say other keys."""
        self._stack = stack
        self._cluster = cluster
        self._tell = tell
        self._held: dict[str, HeldKeys] = {}

    @property
    def _keys(self) -> EncryptionKeys:
        return self._cluster.keys

    def tell(self, keys: EncryptionKeys) -> None:
        """Have state say other keys, and read it again: the control planes may be others by now.

        Raises:
            UserError: State doesn't say them afterwards.
        """
        self._tell(self._cluster, keys)
        self._cluster = cluster_of(self._stack, self._cluster.name)
        if self._keys != keys:
            raise UserError(
                f"state doesn't have the keys of cluster {self._cluster.name} that it was told: another run has "
                "changed it. The same command goes on"
            )

    def look(self) -> KeysSeen:
        """Return how things stand.

        Raises:
            UserError: A control plane can't be asked, or is one that state doesn't know; or etcd doesn't answer.
        """
        self._refuse_strangers()
        self._held = {plane.name: planes_module.read(plane) for plane in self._planes()}
        written = keys_in_use(self._cluster.etcd(self._cluster.planes).values(PREFIX))
        known = {"", *self._known()}
        if unknown := sorted(written - known):
            raise UserError(
                f"cluster {self._cluster.name} has Secrets under {', '.join(unknown)}, and neither state nor a "
                "control plane has a key of that name: nobody can read them. Delete those Secrets, or restore a "
                "snapshot from before (`azlocal restore`)"
            )
        held = {name: keys.names for name, keys in self._held.items()}
        return KeysSeen(self._keys.newest, self._keys.names, held, written)

    def finish(self) -> None:
        """Do what is left to be done.

        Raises:
            UserError: A step fails. The next run goes on.
        """
        done: list[Step] = []
        while (step := next_step(self.look())) is not None:
            if done[-_TRIES:] == [step] * _TRIES:
                raise UserError(f"cluster {self._cluster.name}: that was done, and isn't so afterwards: {step}")
            say(f"cluster {self._cluster.name}: {step}")
            self._do(step)
            done.append(step)
        say(f"cluster {self._cluster.name}: all Secrets are under {self._keys.newest}, which alone is in use")

    def _do(self, step: Step) -> None:
        match step:
            case TellState(names):
                self.tell(self._keys.telling(names))
            case TellPlane(name, names):
                known, kubeconfig = self._known(), self._cluster.placement.kubeconfig
                planes_module.tell(Plane(self._cluster, name), kubeconfig, [known[each] for each in names])
            case RewriteSecrets():
                count = rewrite_secrets(ClusterApi(self._cluster.placement.kubeconfig))
                say(f"cluster {self._cluster.name}: {count} Secrets are written again")

    def _known(self) -> dict[str, str]:
        """Return all keys by name: those of state, and those that control planes have."""
        held = [key for keys in self._held.values() for key in keys.keys]
        return EncryptionKeys(tuple(held)).by_name | self._keys.by_name

    def _planes(self) -> list[Plane]:
        return [Plane(self._cluster, name) for name in sorted(self._cluster.planes)]

    def _refuse_strangers(self) -> None:
        """See that Kubernetes knows no control plane that state doesn't: its API server wouldn't be told."""
        api = ClusterApi(self._cluster.placement.kubeconfig)
        nodes = api.items("/api/v1/nodes", labelSelector="node-role.kubernetes.io/control-plane")
        strangers = {node["metadata"]["name"] for node in nodes} - set(self._cluster.planes)
        if strangers:
            raise UserError(
                f"{', '.join(sorted(strangers))} is a control plane of cluster {self._cluster.name} that state "
                "doesn't have: `azlocal up` first"
            )
