"""What becomes of volumes on the disk of a node that is replaced or goes: said before, refused unless accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from infra.plugin.operation import Operation
from infra.provider.lives import ClusterRun
from infra.resources.changes import Refused
from infra.resources.changes.volumes import stay_in_place

if TYPE_CHECKING:
    from infra.kubernetes.local_volumes import LocalVolume

_MOST_NAMED: Final = 10


def see_that_volumes_stay(
    op: Operation, state: Mapping[str, Any], news: Mapping[str, Any], cluster: ClusterRun
) -> None:
    """See what becomes of the volumes of a node that is to be replaced, and say it.

    Raises:
        Refused: Some would be lost, and nobody accepted that.
    """
    name, keeps = state["name"], stay_in_place(state, news)
    volumes = cluster.life.local_volumes(name)
    if volumes is None:
        if not keeps:
            op.warning(f"{name} would lose the volumes on its disk, and its cluster can't be asked which it has")
        return
    if staying := [volume for volume in volumes if keeps and volume.is_on_data_volume]:
        op.info(f"{name} keeps its local volumes: {_list(staying)}")
    what = "would move to another host" if state["connection"] != news.get("connection") else "would be replaced"
    judge(op, name, what, [volume for volume in volumes if volume not in staying], cluster)


def see_that_none_is_lost(op: Operation, name: str, what: str, cluster: ClusterRun, *, keeps: bool) -> None:
    """See that a node may go.

    Args:
        op: The operation.
        name: The node.
        what: What happens to it, as a verb.
        cluster: Its cluster.
        keeps: Whether another machine takes its data volume over.

    Raises:
        Refused: It has volumes that would be lost, and nobody accepted that.
    """
    volumes = cluster.life.local_volumes(name) or []
    judge(op, name, what, [volume for volume in volumes if not (keeps and volume.is_on_data_volume)], cluster)


def name_lost(op: Operation, name: str, cluster: ClusterRun) -> None:
    """Name the volumes that went with a node whose host is lost."""
    if volumes := cluster.life.local_volumes(name):
        op.warning(f"{name} was on a host that is lost, and with it went volumes on its disk: {_list(volumes)}")


def judge(op: Operation, name: str, what: str, lost: list[LocalVolume], cluster: ClusterRun) -> None:
    """Refuse that volumes are lost with a node, or name them where that is accepted.

    Raises:
        Refused: Nobody accepted it.
    """
    if not lost:
        return
    if cluster.placement.deletes_volumes:
        op.warning(f"{name} {what}, and with it go volumes on its disk (deleteLocalVolumes): {_list(lost)}")
        return
    raise Refused(
        f"{name} {what}, and volumes on its disk would be lost (local-volumes-lost): {_list(lost)}. Back up what "
        "is in them, delete their claims, and those volumes that are retained; what uses them then gets new ones "
        "on other nodes. Or, if they may go, write `storageProfile: {deleteLocalVolumes: true}` in "
        f"cluster {cluster.placement.cluster}"
    )


def _list(volumes: list[LocalVolume]) -> str:
    named = ", ".join(map(str, volumes[:_MOST_NAMED]))
    return named if len(volumes) <= _MOST_NAMED else f"{named}, and {len(volumes) - _MOST_NAMED} more"
