"""What a difference between a machine that stands and the wanted one makes happen, beyond its contract. Pure.

The plugin asks it of each diff, and `azlocal plan --against` of two plans: what it says and what `up` does is one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.lifecycle.versions import missing_minors, order
from infra.model.machine_traits import traits_of
from infra.resources.changes import Changes, Refused
from infra.resources.changes.patches import patch
from infra.resources.changes.volumes import becomes_of_volumes
from infra.resources.contract import OnChange
from infra.unknown import UNKNOWN

_WITH_THE_HOST: Final = frozenset({"connection", "pool"})
_FROM_AZLOCAL: Final = frozenset({"image", "seedDigest"})
_OF_THE_MACHINE: Final = (
    *("connection", "pool", "machineType", "macAddress", "secureBoot", "tpm", "diskGiB"),
    *("firstBoot.gateway", "firstBoot.dnsServers", "firstBoot.mtu"),
)
"""Paths that say nothing of a machine's cluster."""
_IN_TURN: Final = "it leaves etcd and joins again from an empty disk, one control plane at a time"
_BY_SPARE: Final = (
    "another control plane joins at the cluster's spare address first and holds its data; it leaves when this one "
    "is back"
)
_VERSION: Final = "firstBoot.node.version"
_OF_THE_BUNDLE: Final = "firstBoot.node.imageTags"


@dataclass(frozen=True)
class Neighbours:
    """What a machine's cluster has beside it.

    Attributes:
        planes: How many control planes, with this one if it is one.
        has_spare: Whether another machine can hold the data of the only control plane while that is replaced.
        rolls_images: Whether nodes are replaced for a newer node image alone.
        surges: Whether another machine takes the pods of this one, a worker, while it is replaced.
        passed: Kubernetes versions that can be passed on the way to another one, each in a run of its own.
    """

    planes: int = 1
    has_spare: bool = False
    rolls_images: bool = False
    surges: bool = False
    passed: Collection[str] = ()


ALONE: Final = Neighbours()


def decide(
    state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, neighbours: Neighbours = ALONE
) -> list[str]:
    """Adjust what a diff found; return what the user should know of it.

    A disk can't shrink, a node holds data; some changes restart a machine, which no diff shows.

    Args:
        state: the machine as it stands, by wire name.
        news: the wanted one.
        changes: what differs; changed in place.
        neighbours: what its cluster has beside it.

    Raises:
        Refused: it isn't done, since it would cost data.
    """
    if changes.touches("diskGiB") and isinstance(news["diskGiB"], int) and news["diskGiB"] < state["diskGiB"]:
        changes.by_path["diskGiB"] = OnChange.REPLACE
    note, patched = plan_live_move(state, news, changes), list[str]()
    if not note:
        patched = patch(state, news, changes)
        note = _upgrade(state, news, changes, neighbours) or _replaced_node(state, news, changes, neighbours)
    notes = [note] if note else []
    if patched and not changes.replaces():
        notes.append(f"{news['name']} is patched as it runs: {', '.join(patched)}")
    if restarts := restarts_for(state, news, changes):
        causes = ", ".join(f"{name} {state[name]} → {news[name]}" for name in restarts)
        notes.append(f"{news['name']} restarts for {causes}; its disk and address stay")
    return notes


def restarts_for(state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes) -> list[str]:
    """Return the properties for whose change a machine that runs, and stays, is restarted."""
    if (changes.replaces() and not changes.create_first) or not state.get("running"):
        return []
    return [name for name in restarting(news) if changes.touches(name)]


def restarting(machine: Mapping[str, Any]) -> list[str]:
    """Return the properties whose change takes a restart."""
    return list(traits_of(machine["machineType"]).restarted_for)


def _upgrade(state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, neighbours: Neighbours) -> str:
    """Return what another Kubernetes version means for a node; nothing where its version stays.

    Raises:
        Refused: No node goes there, or this one can't together with what else differs.
    """
    node = (state.get("firstBoot") or {}).get("node")
    if not node or _VERSION not in changes.by_path:
        return ""
    name, old = state["name"], node["version"]
    new = ((news.get("firstBoot") or {}).get("node") or {}).get("version", old)
    is_plane = node.get("role") == "controlPlane"
    if refusal := _no_way(old, new, neighbours.passed, is_plane=is_plane):
        raise Refused(f"{name} can't go from Kubernetes {old} to {new}: {refusal}")
    others = sorted(path for path in changes.replaces() if path != _VERSION and not _is_from_azlocal(path))
    if not is_plane:
        with_others = f" and a change of {', '.join(others)}" if others else ""
        return (
            f"{name} is replaced for Kubernetes {old} → {new}{with_others}, after the control planes, "
            f"{_as_a_worker(neighbours, becomes_of_volumes(state, news))}"
        )
    if others:
        raise Refused(
            f"{name} goes to Kubernetes {new} alone, and would also be replaced for a change of "
            f"{', '.join(others)}: make one change after the other"
        )
    if changes.touches("firstBoot.authorizedKeys"):  # the others are logged in to while this one is replaced
        raise Refused(
            f"{name} goes to Kubernetes {new} alone, and its login keys change: make one change after the other"
        )
    way = _way_of_a_plane(neighbours)
    if not way:
        raise Refused(
            f"{name} is the only control plane of cluster {node.get('cluster')}, and this run doesn't know of "
            "the spare that would hold its data meanwhile: run it without --target and --exclude"
        )
    minors = missing_minors(old, new, ())
    once_each = f", once more for {' and '.join(minors)} before, in a run of `azlocal up` each" if minors else ""
    return f"{name} is replaced for Kubernetes {old} → {new}{once_each}: {way}"


def _way_of_a_plane(neighbours: Neighbours) -> str:
    """Return how a control plane is replaced without the cluster's data being lost; nothing where it can't be."""
    if neighbours.planes > 1:
        return _IN_TURN
    return _BY_SPARE if neighbours.has_spare else ""


def _no_way(old: str, new: str, passed: Collection[str], *, is_plane: bool) -> str:
    """Return why a node doesn't go from one version to another; nothing where it does.

    kubernetes.io/releases/version-skew-policy: control planes pass every minor, and nothing goes back. Workers
    skip minors: they come after control planes, of which it is said whether those may go there.
    """
    if order(new) < order(old):
        return "an upgrade has no way back (downgrade)"
    if is_plane and (lacking := missing_minors(old, new, passed)):
        return (
            "a control plane passes every minor. `azlocal up` does, a run for each, where azlocal builds a "
            f"version of it; else go to a version of {lacking[0]} first (skipped-minor)"
        )
    return ""


def _replaced_node(
    state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, neighbours: Neighbours
) -> str:
    """Return what it means for a node's cluster that it would be replaced; nothing where it wouldn't be.

    A node that only a newer node image would replace is kept, unless its cluster rolls such images out.

    Raises:
        Refused: The cluster's data would be lost with it.
    """
    node = (state.get("firstBoot") or {}).get("node")
    replaced = set(changes.replaces())
    if not node or not replaced:
        return ""
    name, cluster = state["name"], node.get("cluster")
    by_people = {path for path in replaced if not _is_from_azlocal(path)}
    if not by_people and not neighbours.rolls_images:
        for path in replaced:
            del changes.by_path[path]
        return (
            f"{name} stays on the node image that it was made from: it is a node with data. It gets the current "
            "one with `autoUpgradeProfile: {nodeOSUpgradeChannel: NodeImage}` in its cluster, one node at a time, "
            "or with the next version of Kubernetes"
        )
    if "lost" in replaced:
        return f"{name} is gone from its host: what it left in cluster {cluster} is removed, then it joins again"
    causes = f"a change of {', '.join(sorted(by_people))}" if by_people else "the current node image"
    moves = "connection" in replaced
    what = "moves to another host" if moves else f"is replaced for {causes}"
    if node.get("role") != "controlPlane":
        if moves:
            return (
                f"{name} moves to another host: cluster {cluster} drains and forgets it, then it is re-created "
                "there under its address; volumes on its disk go"
            )
        return f"{name} {what}, {_as_a_worker(neighbours, becomes_of_volumes(state, news))}"
    way = _way_of_a_plane(neighbours) if all(map(_is_replaced_in_turn, by_people)) else ""
    if way:
        return f"{name} {what}: {way}"
    if moves:
        raise Refused(_stays_on_its_host(name, cluster))
    raise Refused(
        f"{name} would be replaced for {causes}, and cluster {cluster} keeps its data on it. Take "
        "the change back; or, if the cluster may go, remove it from the stack's file, run `pulumi up`, and "
        "add it again. A control plane is replaced, with the cluster's data kept, for what isn't the cluster's: "
        "its host, firmware, MAC address and name servers"
    )


def _as_a_worker(neighbours: Neighbours, volumes: str) -> str:
    """Say how a worker is replaced that comes back, and what becomes of volumes on its disk."""
    meanwhile = " while another machine at the cluster's spare address takes its pods" if neighbours.surges else ""
    return f"drained, at its address{meanwhile}; {volumes}"


def _is_replaced_in_turn(path: str) -> bool:
    """Return whether a control plane that is replaced for this joins its cluster as it was: at its own address."""
    return _is_from_azlocal(path) or path.startswith(_OF_THE_MACHINE)


def _is_from_azlocal(path: str) -> bool:
    """Return whether another version of azlocal changes this by itself, without anybody having changed a file."""
    return path in _FROM_AZLOCAL or path.startswith(_OF_THE_BUNDLE)


def plan_live_move(state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes) -> str:
    """Have a machine whose host drains live made on its new host first; return what the user should know.

    Nothing is returned, and nothing changes, for a machine that doesn't leave such a host.

    Raises:
        Refused: It can't migrate: it is a container, or would be replaced for other reasons as well.
    """
    if "connection" not in changes.by_path or state["connection"] not in (news.get("migratesFrom") or ()):
        return ""
    source, name = state["connection"], state["name"]
    if traits_of(state["machineType"]).shares_kernel:
        raise Refused(
            f"{name} can't leave {source} live: it is a container, and only VMs migrate as they run. Write "
            "`drain: true` for that host in hosts/*.yaml: then it is re-created elsewhere, without its data"
        )
    if (state.get("firstBoot") or {}).get("node"):
        for path in list(filter(_is_from_azlocal, changes.by_path)):
            del changes.by_path[path]
    causes = sorted(
        path
        for path in changes.replaces()
        if path not in _WITH_THE_HOST and news.get(path.partition(".")[0]) != UNKNOWN
    )
    if causes:
        raise Refused(
            f"{name} can't leave {source} live: it would also be replaced for a change of {', '.join(causes)}. "
            "Take that change back until it has moved; or let it be re-created elsewhere with `drain: true`"
        )
    changes.create_first = True
    target = "another host" if news["connection"] == UNKNOWN else news["connection"]
    if not state.get("running"):
        return (
            f"{name} is to migrate live from {source} to {target}, but was shut off when it was last seen: start "
            "it there, or `up` stops here"
        )
    return (
        f"{name} migrates live from {source} to {target}: {state['memoryMiB']} MiB of memory, and what its disk "
        f"of {state['diskGiB']} GiB holds, are copied as it runs. Data, address and host key stay"
    )


def _stays_on_its_host(name: str, cluster: str) -> str:
    """Say why the only control plane doesn't move, and what can be done."""
    return (
        f"{name} would move to another host, and it is the only control plane of cluster {cluster}, whose "
        "data (etcd) isn't carried over in this run. With `drain: live` a VM leaves a host with all it holds. Or "
        "write 3 as controlPlane.count first, where the host still runs. Or keep it where it is: take the change "
        "in hosts/*.yaml back, or, on a host that drains, pin it to that host under azlocal:placement in the "
        "stack's file. Or, if the cluster may go, or went with its host, remove it from the stack's file, run "
        "`pulumi up`, and add it again"
    )
