"""`azlocal drill`: break a standing instance on purpose, and measure how it comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from infra.cli.errors import ExitCode
from infra.cli.output import StackName, TableOrJson, json_text
from infra.cli.stack import on_stack

if TYPE_CHECKING:
    from infra.stack.drills.decision import Drill
    from infra.stack.drills.outcome import Outcome

_HELP: Final = """Break a standing instance on purpose, watch what clients see, heal it, and say what that took.

Clients read, write and watch at the cluster's address all the while; each write that the API acknowledged is
looked for afterwards. What heals is `azlocal up`, which also heals what a drill left that was killed in the
middle, and for lose-quorum the restore that `up` names. Only what carries this stack's mark is touched, and a
drill that couldn't heal is refused, with its rule.

For training, and for labs: a cluster that people work on is away for as long as the table says.

\b
Examples:
    azlocal drill kill-api-server local              asks for the stack's name first
    azlocal drill lose-control-plane lab --cluster a --yes
    azlocal drill cut-cable lab-local --machine lab-local-a-pool1-0 --hold 60

Ends with 0 when everything came back and no acknowledged write was lost, 1 when it can't be run or `up` fails, 2
when it is refused, something was lost, or the cluster isn't healthy in the end.
"""

_DRILLS: Final[dict[Drill, str]] = {
    "lose-control-plane": """Destroy a control plane, disk and all.

    `up` removes what it left in etcd and among the nodes, and has it join again, at its own address. Refused where
    etcd would have no quorum without it: a cluster needs three control planes.
    """,
    "lose-quorum": """Destroy most of a cluster's control planes, disks and all.

    Two of three: etcd has no quorum then. `up` says so and names the restore; the newest snapshot that is kept is
    restored, and `up` makes the machines again. What was written since that snapshot is gone from the cluster:
    take one first (`azlocal backup`). Refused where none is kept.
    """,
    "kill-api-server": """Kill an API server.

    The cluster's address goes to another control plane, where there is one, and kubelet starts the API server
    again; `up` finds nothing to do.
    """,
    "expire-certificates": """Let a cluster's certificates end.

    Its control planes serve certificates that have ended, as in a lab that was off for too long: etcd's members
    refuse each other, no API server comes back alone, and `up` renews all of them.
    """,
    "lose-host": """Cut the power of a lab's host.

    All machines on it are gone at once; `up` switches it on again. Only hosts of a lab (`make lab`) have a power
    that azlocal can cut. Refused where a cluster's etcd would have no quorum without the machines there.
    """,
    "cut-cable": """Pull the network cable of a lab's host.

    Machines on it run on, and nobody hears of them; `up` plugs the cable in again. Only hosts of a lab (`make
    lab`) have a cable that azlocal can pull. --hold 60 shows how Kubernetes takes a node for lost, after 40 s.
    """,
}


app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=_HELP)


def _command(drill: Drill) -> Callable[..., None]:
    def command(
        context: typer.Context,
        name: StackName = None,
        cluster: Annotated[
            str | None, typer.Option(metavar="NAME", help="The cluster; needed where the stack has several.")
        ] = None,
        machine: Annotated[
            str | None,
            typer.Option(
                metavar="MACHINE",
                help="Which machine, as `azlocal show` names it, or the host of which; absent: the control plane "
                "that has the cluster's address.",
            ),
        ] = None,
        hold: Annotated[
            float, typer.Option(metavar="SECONDS", min=0, help="How long it stays broken before it is healed.")
        ] = 10,
        yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
        output: Annotated[TableOrJson, typer.Option("--format", help="Of what was measured.")] = TableOrJson.TABLE,
    ) -> None:
        with on_stack(context, name, (), makes=False) as (stack, _):
            from infra.stack.drills import drill as drills

            outcome = drills.run(stack, drill, cluster=cluster, machine=machine, hold=hold, yes=yes)
        _show(outcome, stack.name, output)
        if outcome.exit_code:
            raise typer.Exit(ExitCode.FAILED)
        if not outcome.ok:
            raise typer.Exit(ExitCode.RULE_BROKEN)

    return command


for _drill, _help in _DRILLS.items():
    app.command(_drill, help=_help)(_command(_drill))


def _show(outcome: Outcome, stack: str, output: TableOrJson) -> None:
    if output is TableOrJson.JSON:
        typer.echo(json_text(outcome.to_json(stack)), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    chosen = outcome.chosen
    table = Table(box=None, pad_edge=False, show_header=False)
    for what, value in outcome.rows():
        table.add_row(what, value)
    console = Console(highlight=False, soft_wrap=True)
    broken = chosen.host or ", ".join(chosen.machines)
    console.print(f"{chosen.drill} of cluster {chosen.cluster} of {stack}: {broken}")
    console.print(table)
    for fault in outcome.faults():
        typer.echo(f"error: {fault}", err=True)
