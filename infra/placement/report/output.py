"""A placement as text in any format; each format's module is imported when it is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from infra.addresses.report.output import FormatName, json_text
from infra.placement.loss import Loss
from infra.placement.plan import Placed, Placement
from infra.placement.report.view import build_columns


def render_placement(
    placement: Placement, name: FormatName, losses: Sequence[Loss], addresses: Mapping[str, str]
) -> str:
    """Return the placement, and what losses do, as text.

    Args:
        placement: The placement.
        name: The format.
        losses: The hosts' losses that are asked about; with exactly one, pictures show things after it.
        addresses: Addresses by the plan's names.
    """
    match name:
        case "json":
            return json_text(to_json(placement, losses, addresses))
        case "markdown":
            from infra.placement.report.markdown import render_markdown

            return render_markdown(placement, losses, addresses)
        case "svg":
            from infra.placement.report.picture import render_svg

            return render_svg(placement, losses)
        case "html":
            from infra.placement.report.page import render_html

            return render_html(placement, losses, addresses)
        case "table":
            from infra.placement.report.table import render_tables

            return render_tables(placement, losses, addresses)


def to_json(placement: Placement, losses: Sequence[Loss], addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON object: memory in MiB, disks in GiB, as their keys say."""
    return {
        "instance": placement.instance,
        "ok": placement.ok,
        "reservePercent": placement.reserve.percent,
        "hosts": [
            {
                "name": column.room.name,
                "drain": "live" if column.room.live else column.room.drain,
                "lost": column.room.lost,
                "memoryMiB": column.room.memory_mib,
                "usedMiB": column.used_mib,
                "freeMiB": column.free_mib,
                "reserveMiB": column.room.reserve_mib,
                "otherInstancesMiB": column.room.others_mib,
                "diskGiB": column.room.disk_gib,
                "machines": [one.demand.owner for one in column.machines],
            }
            for column in build_columns(placement, ())
        ],
        "machines": [_machine(one, addresses) for one in placement.placed],
        "held": [_machine(one, addresses) for one in placement.held],
        "unplaced": [one.owner for one in placement.unplaced],
        "unheld": [one.owner for one in placement.unheld],
        "moves": [
            {
                "machine": one.owner,
                "from": one.source,
                "to": one.target,
                "because": one.because,
                "live": one.live,
            }
            for one in placement.moves
        ],
        "losses": [_loss(one, addresses) for one in losses],
        "findings": [finding.to_json() for finding in placement.findings],
    }


def _machine(one: Placed, addresses: Mapping[str, str]) -> dict[str, Any]:
    demand = one.demand
    return {
        "name": demand.owner,
        "host": one.host,
        "availabilitySet": demand.availability_set,
        "cluster": demand.cluster,
        "role": demand.role,
        "vmSize": demand.size.name,
        "memoryMiB": demand.memory_mib,
        "diskGiB": demand.disk_gib,
        "address": addresses.get(demand.owner),
        "why": one.why,
    }


def _loss(loss: Loss, addresses: Mapping[str, str]) -> dict[str, Any]:
    return {
        "host": loss.host,
        "roomElsewhere": [{"machine": one.demand.owner, "host": host} for one, host in loss.restarted],
        "noRoomElsewhere": [one.demand.owner for one in loss.stranded],
        "availabilitySets": [
            {
                "name": one.name,
                "cluster": one.cluster,
                "members": one.members,
                "lost": one.lost,
                "stands": one.stands,
                "quorum": one.has_quorum if one.role == "controlPlane" else None,
            }
            for one in loss.sets
        ],
        "virtualAddresses": [asdict(one) | {"address": addresses.get(one.owner)} for one in loss.virtual],
    }
