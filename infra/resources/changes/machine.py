"""What a difference between a machine that stands and the wanted one makes happen, beyond its contract. Pure.

The plugin asks it of each diff, and `azlocal plan --against` of two plans: what it says and what `up` does is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.resources.changes import Changes, Refused
from infra.resources.contract import OnChange
from infra.unknown import UNKNOWN

_WITH_THE_HOST: Final = frozenset({"connection", "pool"})
_FROM_AZLOCAL: Final = frozenset({"image", "seedDigest"})
_OF_THE_BUNDLE: Final = "firstBoot.node.imageTags"


def decide(state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes) -> list[str]:
    """Adjust what a diff found; return what the user should know of it.

    A disk can't shrink, a node holds data; some changes restart a machine, which no diff shows.

    Args:
        state: the machine as it stands, by wire name.
        news: the wanted one.
        changes: what differs; changed in place.

    Raises:
        Refused: it isn't done, since it would cost data.
    """
    if changes.touches("diskGiB") and isinstance(news["diskGiB"], int) and news["diskGiB"] < state["diskGiB"]:
        changes.by_path["diskGiB"] = OnChange.REPLACE
    said = plan_live_move(state, news, changes) or spare_node(state, changes)
    told = [said] if said else []
    if restarts := restarts_for(state, news, changes):
        causes = ", ".join(f"{name} {state[name]} → {news[name]}" for name in restarts)
        told.append(f"{news['name']} restarts for {causes}; its disk and address stay")
    return told


def restarts_for(state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes) -> list[str]:
    """Return the properties for whose change a machine that runs, and stays, is restarted."""
    if (changes.replaces() and not changes.create_first) or not state.get("running"):
        return []
    return [name for name in restarting(news) if changes.touches(name)]


def restarting(machine: Mapping[str, Any]) -> list[str]:
    """Return the properties whose change takes a restart."""
    return ["diskGiB"] if machine["machineType"] == "container" else ["vcpus", "memoryMiB", "diskGiB"]


def keep_planes(cluster: str, leaving: Iterable[str]) -> None:
    """See that a cluster that stays gives up no control plane.

    Args:
        cluster: the cluster's name.
        leaving: the control planes that are to go.

    Raises:
        Refused: there are some.
    """
    planes = sorted(leaving)
    if planes:
        raise Refused(
            f"cluster {cluster} can't give up {', '.join(planes)}: a control plane is a member of etcd, and one "
            "that just goes may take the cluster's data with it. Restore controlPlane.count"
        )


def spare_node(state: Mapping[str, Any], changes: Changes) -> str:
    """Keep a node that only a newer node image would replace; return what the user should know, or nothing.

    Raises:
        Refused: A control plane would be replaced, and with it the cluster's data.
    """
    node = (state.get("firstBoot") or {}).get("node")
    replaced = set(changes.replaces())
    if not node or not replaced:
        return ""
    name = state["name"]
    by_people = {path for path in replaced if not _is_from_azlocal(path)}
    if not by_people:
        for path in replaced:
            del changes.by_path[path]
        return (
            f"{name} stays on the node image that it was made from: it is a node with data. A new cluster, or a "
            "node that is removed and added again, gets the current one"
        )
    if "connection" in replaced:
        return _move(name, node)
    causes = ", ".join(sorted(by_people))
    if node.get("role") == "controlPlane":
        raise Refused(
            f"{name} would be made anew for a change of {causes}, and cluster {node.get('cluster')} keeps its "
            "data on it. Take the change back; or, if the cluster may go, remove it from the stack's file, run "
            "`pulumi up`, and add it again"
        )
    return f"{name} is made anew for a change of {causes}; volumes on its disk go with it"


def _is_from_azlocal(path: str) -> bool:
    """Return whether another version of azlocal changes this by itself, without anybody having changed a file."""
    return path in _FROM_AZLOCAL or path.startswith(_OF_THE_BUNDLE)


def plan_live_move(state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes) -> str:
    """Have a machine whose host drains live made on its new host first; return what the user should know.

    Nothing is returned, and nothing changes, for a machine that doesn't leave such a host.

    Raises:
        Refused: It can't migrate: it is a container, or would be made anew for other reasons as well.
    """
    if "connection" not in changes.by_path or state["connection"] not in (news.get("migratesFrom") or ()):
        return ""
    source, name = state["connection"], state["name"]
    if state["machineType"] == "container":
        raise Refused(
            f"{name} can't leave {source} live: it is a container, and only VMs migrate as they run. Write "
            "`drain: true` for that host in hosts/*.yaml: then it is made anew elsewhere, without its data"
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
            f"{name} can't leave {source} live: it would also be made anew for a change of {', '.join(causes)}. "
            "Take that change back until it has moved; or let it be made anew elsewhere with `drain: true`"
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


def _move(name: str, node: Mapping[str, Any]) -> str:
    """Say what a move to another host means for a node."""
    cluster = node.get("cluster")
    if node.get("role") == "controlPlane":
        raise Refused(
            f"{name} would move to another host, and cluster {cluster} keeps its data (etcd) on it, which isn't "
            "carried over. With `drain: live` a VM leaves a host with all it holds. Or keep it where it is: take "
            "the change in hosts/*.yaml back, or, on a host that drains, pin it to that host under "
            "azlocal:placement in the stack's file. Or, if the cluster may go, or went with its host, remove it "
            "from the stack's file, run `pulumi up`, and add it again"
        )
    return (
        f"{name} moves to another host: cluster {cluster} drains and forgets it, then it is made anew there under "
        "its address; volumes on its disk go"
    )
