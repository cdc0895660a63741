"""The restore of a cluster's etcd, from the question whether it is meant to Ready nodes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from infra.errors import UserError
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.certificates import at_server
from infra.kubernetes.etcd import EtcdError
from infra.kubernetes.membership import forget
from infra.kubernetes.nodes import mark_plane
from infra.kubernetes.watch import wait_until_answering, wait_until_healthy
from infra.lifecycle.backups import raised_by
from infra.model.work import Work
from infra.provider.kinds.cluster_base import logged_in
from infra.ssh import ShellError
from infra.stack.backup import StackBackups
from infra.stack.clusters import StackCluster, cluster_of
from infra.stack.messages import confirmed, say
from infra.stack.restore.keys import end_rotation, told_older_keys, write_keys
from infra.stack.restore.planes import Plane, Standing, look, path_of
from infra.stack.restore.source import Source, choose, told_of
from infra.stack.rotation.flow import Tell
from infra.stack.state import Stack

_ANSWER_SECONDS: Final = 300.0
_PROMOTE_SECONDS: Final = 180.0
_NODES_SECONDS: Final = 600.0
_PAUSE: Final = 1.0
_BEFORE: Final = "before a restore"

Result = TypeVar("Result")
Refound = Callable[[StackCluster, str], None]
"""Makes a machine of a cluster that founds it, by its name."""


def restore(stack: Stack, name: str, wish: str | None, refound: Refound, tell: Tell, *, yes: bool) -> None:
    """Restore a cluster.

    Args:
        stack: Its stack.
        name: The cluster's name in it.
        wish: A snapshot's name, or the path of a file here; None: the one that loses least.
        refound: Makes its first control plane again, where none stands.
        tell: Has state say other keys of Secrets, where the snapshot is from before a rotation.
        yes: Nobody is asked whether it is meant.

    Raises:
        UserError: It can't be restored; says why, what stands as it was, and what to do.
    """
    cluster, backups = cluster_of(stack, name), StackBackups(stack)
    standing = look(cluster, backups.hosts, stack.name, backups.work)
    refuse_what_could_come_back(cluster, standing)
    runs = [plane for plane, how in standing.items() if how == "runs"]
    membership = cluster.etcd(runs).membership() if runs else None
    has_quorum, answers = membership is not None and membership.agreed, membership is not None
    source = choose(cluster, wish, backups.listed(cluster), has_quorum=has_quorum, answers=answers)
    _confirm(cluster, standing, source, yes=yes)
    if not runs:
        runs = [founder(cluster)]
        say(f"{runs[0]} is made again, with the keys that the cluster has")
        refound(cluster, runs[0])
        cluster = cluster_of(stack, name)
        Plane(cluster, runs[0]).wait_until_booted(Work().within(_ANSWER_SECONDS))
        standing = {**standing, runs[0]: "runs"}
    source = _saved(backups, cluster, source, answers=answers)
    cluster = told_older_keys(stack, cluster, source, tell)
    revisions, began = cluster.etcd(runs).revisions(), time.time()
    # The one whose etcd has most first: it spares that a copy.
    planes = [Plane(cluster, name) for name in sorted(runs, key=lambda name: (-revisions.get(name, 0), name))]
    first, *others = planes
    seen = [*revisions.values(), *(each.backup.revision for each in backups.listed(cluster))]
    known = source.backup.revision if source.backup else 0
    _restore(backups, cluster, planes, source, raised_by(known, seen, began, answers=answers))
    joined = [first]
    for plane in others:
        _join(cluster, joined, plane)
        joined.append(plane)
    is_whole = all(how == "runs" for how in standing.values())
    _settle(cluster, planes, began, is_whole=is_whole)
    say(f"cluster {cluster.name} is restored from {source.text}")
    end_rotation(stack, cluster, tell, is_whole=is_whole)
    if gone := ", ".join(plane for plane, how in standing.items() if how == "gone"):
        say(f"`azlocal refresh {stack.name}` and `azlocal up {stack.name}` bring back what is gone: {gone}")
    elif not answers:
        say(f"`azlocal up {stack.name}` does the rest")


def founder(cluster: StackCluster) -> str:
    """Return the control plane that can found the cluster. Pure."""
    for name, machine in cluster.planes.items():
        if machine.first_boot.node is not None and machine.first_boot.node.number == 0:
            return name
    raise UserError(
        f"state has no control plane of cluster {cluster.name} that could found it again: `azlocal refresh` and "
        "`azlocal up` first"
    )


def refuse_what_could_come_back(cluster: StackCluster, standing: Mapping[str, Standing]) -> None:
    """See that no control plane is off: started later, it would be a member of the cluster of before. Pure.

    Raises:
        UserError: One is; or a change of the cluster was interrupted, and its spare stands.
    """
    spare = cluster.placement.spare
    if spare is not None and standing.get(spare.name, "gone") != "gone":
        raise UserError(
            f"{spare.name} stands in cluster {cluster.name}: a change was interrupted, and it may have the data. "
            f"`azlocal up` ends it; if it can't, remove {spare.name} (`virsh destroy`, `virsh undefine --nvram`), "
            "then restore. Nothing was changed"
        )
    off = [name for name, how in standing.items() if how == "off"]
    if off:
        raise UserError(
            f"{', '.join(off)} of cluster {cluster.name} is switched off, and would come back with etcd's data of "
            f"before: start it first (`virsh start`); or, if it is broken, remove it (`virsh undefine --nvram`), "
            "and `azlocal up` brings it back after the restore. Nothing was changed"
        )


def _confirm(cluster: StackCluster, standing: Mapping[str, Standing], source: Source, *, yes: bool) -> None:
    """Tell what will be done, and have the user say that it is meant.

    Raises:
        UserError: It isn't, or nobody can be asked.
    """
    say(f"cluster {cluster.name} is to be restored from {source.text}")
    say("its API is away meanwhile, and what was written since is gone from it; machines, pods and volumes stay,")
    say("and controllers bring them to what the snapshot says")
    if "runs" not in standing.values():
        say("no control plane stands: the first is made again with the keys in state; pods on workers start again")
    confirmed(cluster.instance, "restore it", yes=yes)


def _saved(backups: StackBackups, cluster: StackCluster, source: Source, *, answers: bool) -> Source:
    """Take a snapshot of what stands, by which the restore can be taken back; where that is the source, it is it.

    Raises:
        UserError: It is the source, and can't be taken.
    """
    if not answers:
        return source
    try:
        backup = backups.take(cluster, _BEFORE)
    except UserError as error:
        if source.backup is None:
            raise
        say(f"what stands isn't kept as a snapshot, and only set aside on the control planes: {error}")
        return source
    say(f"what stands is kept as {backup.name}")
    if source.backup is not None:
        return source
    stored = next(each for each in backups.listed(cluster) if each.backup.name == backup.name)
    return Source(told_of(backup), backup, stored)


def _restore(
    backups: StackBackups, cluster: StackCluster, planes: list[Plane], source: Source, raised: int
) -> None:
    """Restore the first of the control planes, all of them stopped, with revisions raised by so many.

    Raises:
        UserError: It can't be; they go on with what they had.
    """
    if source.backup is None:
        raise AssertionError("a snapshot is taken before it is restored")
    first, backup = planes[0], source.backup
    first.equip()
    with first.folder() as folder:
        parts = source.parts(backups, cluster)
        folder.store(backup.name, backup.size, parts, lambda: backup, backups.work)
        say(f"{', '.join(plane.name for plane in planes)}: API server and etcd stop")
        stopped: list[Plane] = []
        try:
            for plane in planes:
                stopped.append(plane)
                plane.do("stop")
                write_keys(plane, cluster.keys)
            say(f"{first.name}: the snapshot is restored")
            first.do("restore", path_of(backup.name), f"azlocal-{secrets.token_hex(8)}", str(raised))
        except BaseException:
            say("that failed: the control planes go on with the data of before")
            for plane in stopped:
                plane.do("back")
            raise
    first.do("start")
    _wait_for(cluster, first)
    say(f"{first.name}: its API server answers")


def _wait_for(cluster: StackCluster, plane: Plane) -> None:
    api = ClusterApi(at_server(cluster.placement.kubeconfig, plane.address))
    wait_until_answering(api, Work().within(_ANSWER_SECONDS))


def _join(cluster: StackCluster, joined: list[Plane], plane: Plane) -> None:
    """Have one more control plane's etcd come, as kubeadm's join does: without a vote until it has caught up.

    Raises:
        UserError: It doesn't come.
    """
    say(f"{plane.name}: its etcd comes as a new member")
    etcd, work = cluster.etcd([other.name for other in joined]), Work().within(_PROMOTE_SECONDS)
    # A member that is added takes part only once a leader knows that all others have seen it.
    member = _until(lambda: etcd.add_learner(plane.peer_url), work, f"{plane.name} is added to etcd")
    plane.do("join", ",".join(f"{other.name}={other.peer_url}" for other in (*joined, plane)))
    plane.do("start")
    _until(lambda: etcd.promote(member), work, f"etcd on {plane.name} catches up")
    _wait_for(cluster, plane)


def _until(change: Callable[[], Result], work: Work, doing: str) -> Result:
    """Repeat a change that etcd refuses at the moment.

    Raises:
        EtcdError: It refuses to the end.
    """
    while True:
        try:
            return change()
        except EtcdError:
            if not work.remaining:
                raise
        work.wait(_PAUSE, doing)


def _settle(cluster: StackCluster, planes: Iterable[Plane], began: float, *, is_whole: bool) -> None:
    """Have nodes and objects agree again: the snapshot knows neither who came since nor who went.

    Args:
        cluster: The cluster.
        planes: Its control planes that stand.
        began: When the restore did, in seconds since 1970: who reported before has not seen it.
        is_whole: Whether no machine is missing, so that everything in it can become healthy.

    Raises:
        NotReady: Nodes don't become Ready in time.
    """
    api = ClusterApi(cluster.placement.kubeconfig)
    wait_until_answering(api, Work().within(_ANSWER_SECONDS))
    for node in api.items("/api/v1/nodes"):
        name = node["metadata"]["name"]
        if name.startswith(f"{cluster.key}-") and name not in cluster.machines:
            say(f"{name} is forgotten: the snapshot is of a time when it was a node")
            forget(api, name)
    names = {plane.name for plane in planes}
    names |= {name for name, machine in cluster.machines.items() if name not in cluster.planes and machine.running}
    with ThreadPoolExecutor(len(names)) as pool:
        reported = [*filter(None, pool.map(lambda name: _report_again(cluster, name), sorted(names)))]
    work = Work(info=say).within(_NODES_SECONDS)
    say(f"waiting until {', '.join(reported)} are Ready")
    wait_until_healthy(api, dict.fromkeys(reported, began), [], work)
    for plane in planes:
        mark_plane(api, plane.name)
    if is_whole:
        wait_until_healthy(api, dict.fromkeys(reported, began), cluster.placement.namespaces, work)


def _report_again(cluster: StackCluster, name: str) -> str | None:
    """Have a node's kubelet start again, which registers a node that the snapshot doesn't know; its pods run on.

    Returns:
        The node's name; None where it can't be told.
    """
    try:
        with logged_in(cluster.member(name), cluster.placement.identity_files) as shell:
            shell.run(["sudo", "systemctl", "restart", "kubelet.service"])
    except ShellError as error:
        say(f"{name} can't be told to report again: {error}")
        return None
    return name
