"""`azlocal backup` and `azlocal restore`: snapshots of clusters' etcd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.output import Format, json_text, write
from infra.cli.stack import on_stack
from infra.stack import verbs

if TYPE_CHECKING:
    from infra.stack.backup import ScheduleReport, StoredBackup

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_BACKUP = """Take a snapshot of each cluster's etcd now, list those that are kept, or bring one here.

Snapshots are kept on the instance's hosts, on two of them where there are two, below the instance's storage
directory and readable by root alone: of each cluster the newest five that were taken by this command, and the
newest five that `up` and `restore` took before a change; and as many as its schedule says (`snapshots` of a
cluster in the stack's file), whose failures --list names. They go with the instance: `azlocal down` removes them.
Without the keys in the stack's state no cluster can be restored from one.

\b
Examples:
    azlocal backup lab                              of all clusters of the stack `lab`
    azlocal backup lab --list
    azlocal backup lab --cluster a -o a.db          takes one, and brings it here, too
    azlocal backup lab --cluster a --fetch NAME -o a.db
"""

_RESTORE = """Restore a cluster's etcd from a snapshot: after lost quorum, or to go back in time.

Without SNAPSHOT it restores what loses least: where etcd has lost its quorum and a control plane still stands,
what that one has; else the newest snapshot that is kept. SNAPSHOT is a name of `azlocal backup --list`, or the
path of a file that `--fetch` brought.

API servers and etcd stop. One control plane starts with the snapshot's data, revisions raised above all that
clients have seen, so that they notice; the others that stand join it. What stands is saved as a snapshot first, if
etcd answers, and set aside on each control plane (/var/lib/etcd-before-TIME). Machines, pods and volumes stay:
controllers bring them to what the snapshot says. Control planes that are gone come back by the next `up`. Where
none stands, the first is made again with the keys in state; pods on workers then start again.

\b
Examples:
    azlocal restore lab a                              asks for the instance's name first
    azlocal restore lab a lab-a-20261130T081500Z --yes
    azlocal restore lab a ./a.db
"""

_STACK = typer.Argument(metavar="[STACK]", help="The stack; absent: $STACK, else local.")


@app.command(help=_BACKUP)
def backup(
    context: typer.Context,
    name: Annotated[str | None, _STACK] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Of this cluster only, by its name in the stack.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List what is kept, and take none.")] = False,
    fetch: Annotated[
        str | None, typer.Option("--fetch", metavar="NAME", help="Bring this one, and take none.")
    ] = None,
    file: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to bring it.")] = None,
    output: Annotated[Format, typer.Option("--format", help="With --list: table or json.")] = Format.TABLE,
) -> None:
    """Take, list or bring snapshots."""
    if fetch is not None and (cluster is None or file is None or listing):
        raise typer.BadParameter("it needs --cluster and -o, and goes without --list", param_hint="--fetch")
    if listing and file is not None:
        raise typer.BadParameter("--list brings none; name one with --fetch", param_hint="-o")
    if output not in {Format.TABLE, Format.JSON}:
        raise typer.BadParameter(f"a list can't be shown as {output}; use table or json", param_hint="--format")
    target = file.absolute() if file else None
    with on_stack(context, name, (), makes=False) as (stack, _):
        if listing:
            _show(*verbs.backups(stack, cluster), output)
            return
        if fetch is not None and cluster is not None and target is not None:
            raise typer.Exit(verbs.fetch(stack, cluster, fetch, target))
        raise typer.Exit(verbs.backup(stack, [cluster] if cluster else [], target))


@app.command(help=_RESTORE)
def restore(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The stack.")],
    cluster: Annotated[str, typer.Argument(help="The cluster's name in it.")],
    snapshot: Annotated[str | None, typer.Argument(metavar="[SNAPSHOT]", help="Absent: what loses least.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Restore."""
    if snapshot is not None and Path(snapshot).is_file():
        snapshot = str(Path(snapshot).absolute())
    with on_stack(context, name, (), makes=False) as (stack, _):
        raise typer.Exit(verbs.restore(stack, cluster, snapshot, yes=yes))


def _show(listed: list[StoredBackup], schedules: list[ScheduleReport], output: Format) -> None:
    if output is Format.JSON:
        content = {"snapshots": [_as_json(stored) for stored in listed]}
        if schedules:
            content["schedules"] = [_schedule_as_json(report) for report in schedules]
        write(json_text(content), None)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in (
        "snapshot",
        "cluster",
        "taken (UTC)",
        "Kubernetes",
        "revision",
        "MiB",
        "taken for",
        "on",
    ):
        table.add_column(column)
    for stored in listed:
        known = stored.backup
        table.add_row(
            *(known.name, known.cluster, f"{known.taken:%Y-%m-%d %H:%M:%S}", known.kubernetes_version),
            *(str(known.revision), f"{known.size / (1 << 20):.1f}", known.reason, ", ".join(stored.places)),
        )
    console = Console()
    console.print(table, soft_wrap=True)
    for report in schedules:
        console.print(report.text, soft_wrap=True, markup=False)


def _as_json(stored: StoredBackup) -> dict[str, Any]:
    return {"name": stored.backup.name, **stored.backup.to_wire(), "hosts": list(stored.places)}


def _schedule_as_json(report: ScheduleReport) -> dict[str, Any]:
    schedule = report.schedule
    known = {"cluster": schedule.cluster, "host": schedule.connection, "everyHours": schedule.every_hours}
    return {**known, "keep": schedule.keep, "runsBySystemd": report.runs, **report.status.to_wire()}
