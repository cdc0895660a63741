"""What becomes of a machine that is a Kubernetes node, and gone or another cluster's: it holds data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.kvm.errors import HostError
from infra.resources.machine import MachineInputs


def holds_cluster(machine: MachineInputs) -> bool:
    """Return whether a machine is a control plane, on which a cluster keeps its data."""
    return machine.first_boot.node is not None and machine.first_boot.node.role == "controlPlane"


def lost_control_plane(machine: MachineInputs) -> str:
    """Say that a control plane is gone from its host, and what can be done."""
    cluster = machine.first_boot.node.cluster if machine.first_boot.node else ""
    name = cluster.removeprefix(f"{machine.instance}-")
    return (
        f"control plane {machine.name} is gone from {machine.connection}: its domain or its disk, and with it a "
        f"member of cluster {cluster}'s etcd. Where most of the others run, the next `up` removes what it left "
        "and has it join again. Else bring domain and disk back; or restore the cluster from what still stands or "
        f"from a snapshot: `azlocal restore {machine.instance} {name}`. Or, if it may go, remove it from the "
        "stack's file, run `pulumi up`, and add it again"
    )


def refuse_other_cluster(record: Mapping[str, Any], name: str, wanted: Mapping[str, Any] | None) -> None:
    """See that a machine which stands, and would be replaced, doesn't hold the data of another cluster.

    Args:
        record: what the standing machine was told at its first boot, as its record has it.
        name: the machine's.
        wanted: the node that it is to become, if any.

    Raises:
        HostError: it is a control plane with another authority than the wanted one: another state's, or what this
            state has forgotten.
    """
    node = record.get("node") or {}
    if node.get("role") != "controlPlane" or node.get("caHash") == (wanted or {}).get("caHash"):
        return
    raise HostError(
        f"{name} stands already, as a control plane of cluster {node.get('cluster')} with another authority than "
        f"this state has: its data (etcd) would be lost. Take it down where it was made; or, if it may go, remove "
        f"it by hand (`virsh destroy {name}`, `virsh undefine {name} --nvram`) and run `pulumi up` again"
    )
