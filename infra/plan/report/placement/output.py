"""A placement as text in any format; each format's module is imported when it is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from infra.plan.instance import Plan
from infra.plan.placement.loss import Loss
from infra.plan.placement.plan import Placed
from infra.plan.report.addresses.output import FormatName, json_text
from infra.plan.report.placement.view import build_columns


def render_placement(plan: Plan, name: FormatName, losses: Sequence[Loss], addresses: Mapping[str, str]) -> str:
    """Return the placement, and what losses do, as text.

    Args:
        plan: The plan.
        name: The format.
        losses: The hosts' losses that are asked about; with exactly one, pictures show things after it.
        addresses: Addresses by the plan's names.
    """
    match name:
        case "json":
            return json_text(to_json(plan, losses, addresses))
        case "markdown":
            from infra.plan.report.placement.markdown import render_markdown

            return render_markdown(plan, losses, addresses)
        case "svg":
            from infra.plan.report.placement.picture import render_svg

            return render_svg(plan, losses)
        case "html":
            from infra.plan.report.placement.page import render_html

            return render_html(plan, losses, addresses)
        case "table":
            from infra.plan.report.placement.table import render_tables

            return render_tables(plan, losses, addresses)


def to_json(plan: Plan, losses: Sequence[Loss], addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON object: memory in MiB, disks in GiB, as their keys say."""
    placement = plan.placement
    return {
        "instance": placement.instance,
        "ok": plan.is_sound("placement"),
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
                "machines": [placed.machine.owner for placed in column.machines],
            }
            for column in build_columns(placement, ())
        ],
        "machines": [_machine(placed, addresses) for placed in placement.placed],
        "held": [_machine(placed, addresses) for placed in placement.held],
        "unplaced": [machine.owner for machine in placement.unplaced],
        "unheld": [machine.owner for machine in placement.unheld],
        "moves": [
            {
                "machine": move.owner,
                "from": move.source,
                "to": move.target,
                "because": move.because,
                "live": move.live,
            }
            for move in placement.moves
        ],
        "losses": [_loss(loss, addresses) for loss in losses],
        "findings": [finding.to_json() for finding in plan.findings_about("placement")],
    }


def _machine(placed: Placed, addresses: Mapping[str, str]) -> dict[str, Any]:
    machine = placed.machine
    return {
        "name": machine.owner,
        "host": placed.host,
        "availabilitySet": machine.availability_set,
        "cluster": machine.cluster,
        "role": machine.role,
        "vmSize": machine.size.name,
        "memoryMiB": machine.memory_mib,
        "diskGiB": machine.disk_gib,
        "address": addresses.get(machine.owner),
        "why": placed.why,
    }


def _loss(loss: Loss, addresses: Mapping[str, str]) -> dict[str, Any]:
    return {
        "host": loss.host,
        "roomElsewhere": [{"machine": placed.machine.owner, "host": host} for placed, host in loss.restarted],
        "noRoomElsewhere": [placed.machine.owner for placed in loss.stranded],
        "availabilitySets": [
            {
                "name": set_loss.name,
                "cluster": set_loss.cluster,
                "members": set_loss.members,
                "lost": set_loss.lost,
                "stands": set_loss.stands,
                "quorum": set_loss.has_quorum if set_loss.role == "controlPlane" else None,
            }
            for set_loss in loss.sets
        ],
        "virtualAddresses": [
            asdict(virtual) | {"address": addresses.get(virtual.owner)} for virtual in loss.virtual
        ],
    }
