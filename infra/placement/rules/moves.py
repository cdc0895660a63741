"""Moves: machines stay where they are, unless people say otherwise, and then everybody sees it."""

from collections import Counter
from collections.abc import Iterator

from infra.placement.plan import Move
from infra.placement.rules.base import Facts, rule
from infra.spec.findings import KeyPath
from infra.spec.loader import FileKind
from infra.spec.rules import Fault


@rule("machine-moves", source="azlocal", severity="warning")
def machine_moves(facts: Facts) -> Iterator[Fault]:
    """A machine stays on its host, unless that drains or is gone, or a pin says so."""
    for move in facts.placement.moves:
        file, path = _place(facts, move)
        remedy = "the next `up` makes it anew, without what is on its disk; take the change back to keep it there"
        yield Fault(file, path, str(move), remedy, "info" if move.is_recorded else None)


@rule("control-plane-loses-majority", source="etcd", severity="warning")
def control_plane_loses_majority(facts: Facts) -> Iterator[Fault]:
    """A majority of a cluster's control plane stays when others of it move."""
    moving = {move.owner: move for move in facts.placement.moves}
    planes = [one.demand for one in facts.placement.placed if one.demand.role == "controlPlane"]
    members = Counter(one.cluster for one in planes)
    leaving = Counter(one.cluster for one in planes if one.owner in moving)
    for cluster, count in leaving.items():
        if members[cluster] - count > members[cluster] // 2:
            continue
        first = next(one for one in planes if one.cluster == cluster and one.owner in moving)
        file, path = _place(facts, moving[first.owner])
        some = "the only machine" if members[cluster] == 1 else f"{count} of {members[cluster]} machines"
        message = f"{some} of the control plane of cluster {cluster} move at once: what its etcd holds is lost"
        if members[cluster] == 1:
            message = message.replace(" move at once", " moves")
            remedy = "save what the cluster holds first, or give it three control-plane machines"
        else:
            remedy = "drain one host after the other, with an `up` between, so that a majority stays"
        yield Fault(file, path, message, remedy)


def _place(facts: Facts, move: Move) -> tuple[FileKind, KeyPath]:
    if move.owner in facts.spec.stack.placement.pins:
        return "stack", ("placement", "pins", move.owner)
    room = next((one for one in facts.placement.rooms if one.name == move.source), None)
    return "hosts", facts.host_path(move.source, "drain") if room is not None and room.drain else ("hosts",)
