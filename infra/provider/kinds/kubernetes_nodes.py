"""What becomes of a machine that is a Kubernetes node when a change would make it anew: it holds data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra.kvm.errors import HostError
from infra.provider.kind import Changes
from infra.resources.machine import MachineInputs

FROM_AZLOCAL: Final = frozenset({"image", "seedDigest"})
"""What another version of azlocal changes by itself, without anybody having changed a file."""


def spare_node(state: Mapping[str, Any], changes: Changes) -> str:
    """Keep a node that only a newer node image would replace; return what the user should know, or nothing.

    Raises:
        HostError: A control plane would be replaced, and with it the cluster's data.
    """
    node = (state.get("firstBoot") or {}).get("node")
    replaced = set(changes.replaces())
    if not node or not replaced:
        return ""
    name = state["name"]
    if replaced <= FROM_AZLOCAL:
        for path in replaced:
            del changes.by_path[path]
        return (
            f"{name} stays on the node image that it was made from: it is a node with data. A new cluster, or a "
            "node that is removed and added again, gets the current one"
        )
    if "connection" in replaced:
        return _move(name, node)
    causes = ", ".join(sorted(replaced - FROM_AZLOCAL))
    if node.get("role") == "controlPlane":
        raise HostError(
            f"{name} would be made anew for a change of {causes}, and cluster {node.get('cluster')} keeps its "
            "data on it. Take the change back; or, if the cluster may go, remove it from the stack's file, run "
            "`pulumi up`, and add it again"
        )
    return f"{name} is made anew for a change of {causes}; volumes on its disk go with it"


def holds_cluster(machine: MachineInputs) -> bool:
    """Return whether a machine is a control plane, on which a cluster keeps its data."""
    return machine.first_boot.node is not None and machine.first_boot.node.role == "controlPlane"


def lost_control_plane(machine: MachineInputs) -> str:
    """Say that a control plane is gone from its host, and what can be done."""
    cluster = machine.first_boot.node.cluster if machine.first_boot.node else ""
    return (
        f"control plane {machine.name} is gone from {machine.connection}: its domain or its disk, and with it a "
        f"member of cluster {cluster}'s etcd. It isn't made anew by itself: without the data it would be another "
        "cluster. Bring domain and disk back. Or, where others of the cluster run: remove its member from their "
        "etcd (`etcdctl member remove`; or curl, /v3/cluster/member/remove), then `pulumi up --replace URN` with "
        "its URN, and it joins them. Or, if the cluster may go, remove it from the stack's file, run `pulumi up`, "
        "and add it again"
    )


def refuse_other_cluster(found: Mapping[str, Any], name: str, wanted: Mapping[str, Any] | None) -> None:
    """See that a machine which stands, and would be made anew, doesn't hold the data of another cluster.

    Args:
        found: what the standing machine was told at its first boot, as its record has it.
        name: the machine's.
        wanted: the node that it is to become, if any.

    Raises:
        HostError: it is a control plane with another authority than the wanted one: another state's, or what this
            state has forgotten.
    """
    node = found.get("node") or {}
    if node.get("role") != "controlPlane" or node.get("caHash") == (wanted or {}).get("caHash"):
        return
    raise HostError(
        f"{name} stands already, as a control plane of cluster {node.get('cluster')} with another authority than "
        f"this state has: its data (etcd) would be lost. Take it down where it was made; or, if it may go, remove "
        f"it by hand (`virsh destroy {name}`, `virsh undefine {name} --nvram`) and run `pulumi up` again"
    )


def _move(name: str, node: Mapping[str, Any]) -> str:
    """Say what a move to another host means for a node."""
    cluster = node.get("cluster")
    if node.get("role") == "controlPlane":
        raise HostError(
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
