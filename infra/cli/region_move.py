"""`azlocal arc move`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infra.arc.azure import Azure
from infra.arc.inventory import Inventory
from infra.cli.errors import ExitCode
from infra.cli.output import directory_of
from infra.cli.stack import choose
from infra.errors import UserError
from infra.plan.arc_topology import ConnectedCluster
from infra.stack.arc import cluster_of_stack
from infra.stack.command import run_engine
from infra.stack.messages import say
from infra.stack.region_move.journal import Move, begin, load, path_of, save
from infra.stack.region_move.move import Mover
from infra.stack.region_move.plan import Plan, needed_of, plan_move

_NO_CHANGES: Final = ("preview", "--expect-no-changes", "--suppress-outputs")

HELP = """Move a connected cluster into another Azure region.

Azure moves nothing: the cluster is disconnected and connected again, with a new identity (role assignments of the
old one have to be made again), and everything on it is made again: what the stack declares, and what was made
beside it. The cluster itself goes on running. What stood before is saved first, in .azlocal/moves; a move that
breaks off goes on when the same command is run again.

\b
Examples:
    azlocal arc move a --to westeurope --dry-run
    azlocal arc move a --to westeurope
    azlocal arc move a --to westeurope --protected backup=backup-secrets.yaml --unprotected policy
"""


def move(
    context: typer.Context,
    cluster: Annotated[str, typer.Argument(help="The AKS cluster's name.")],
    to: Annotated[str, typer.Option("--to", help="The region to go to, as westeurope.")],
    stack: Annotated[str, typer.Option("--stack", "-s", envvar="STACK", help="The stack.")] = "local",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    protected: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FILE: protected settings, a YAML map, of a resource that the stack doesn't declare."
        ),
    ] = None,
    unprotected: Annotated[
        list[str] | None, typer.Option(help="A resource that the stack doesn't declare has no protected settings.")
    ] = None,
) -> None:
    """Move."""
    choose(context, stack, makes=False)
    secrets = dict(_read_protected(option) for option in protected or ())
    request = _Request(directory_of(context), stack, cluster, to, secrets, tuple(unprotected or ()))
    is_whole = _plan_or_move(request, dry_run)
    if not is_whole:
        raise typer.Exit(ExitCode.RULE_BROKEN)


@dataclass(frozen=True)
class _Request:
    """What the user asked for."""

    directory: Path
    stack: str
    cluster: str
    target: str
    protected: Mapping[str, Mapping[str, str]]
    unprotected: tuple[str, ...]


def _plan_or_move(request: _Request, dry_run: bool) -> bool:
    """Plan, and move unless only that is wanted; return whether all is as it was before."""
    declared = cluster_of_stack(request.stack, request.cluster, request.directory)
    connected = declared.connected
    with declared.azure() as azure:
        file = path_of(request.directory, request.stack, request.cluster)
        begun = _begun(file, request)
        inventory = begun.inventory if begun else Inventory.take(azure, connected.name)
        plan = _plan(request, azure, connected, inventory, is_begun=begun is not None)
        _show(plan, request.cluster)
        if plan.faults or dry_run:
            return not plan.faults
        move = begun or _begin(request, file, plan, inventory)
        left = Mover(azure, connected.name, request.directory, file, request.protected, say).carry_out(move, plan)
    for difference in left:
        say(f"differs from before: {difference}")
    run_engine(request.stack, request.directory, *_NO_CHANGES)
    say(f"{request.cluster} is in {plan.target}; its managed identity is a new one: repeat its role assignments")
    return not left


def _begun(file: Path, request: _Request) -> Move | None:
    """Return the move that broke off, if there is one."""
    move = load(file)
    if move is None or move.is_done:
        return None
    if move.target != request.target:
        raise UserError(
            f"a move of cluster {request.cluster} to {move.target} broke off ({file}); "
            f"run it to its end first: azlocal arc move {request.cluster} --to {move.target}"
        )
    say(f"going on with the move that began at {move.started}")
    return move


def _plan(
    request: _Request, azure: Azure, connected: ConnectedCluster, inventory: Inventory, *, is_begun: bool
) -> Plan:
    offered = {(namespace, kind): azure.locations(namespace, kind) for namespace, kind in needed_of(connected)}
    names = (request.protected, request.unprotected)
    return plan_move(inventory, connected, request.target, offered, *names, is_begun=is_begun)


def _begin(request: _Request, file: Path, plan: Plan, inventory: Inventory) -> Move:
    say("looking whether anything else of the stack waits to be changed")
    run_engine(request.stack, request.directory, *_NO_CHANGES)
    move = begin(request.stack, request.cluster, plan.source, plan.target, inventory)
    save(file, move)
    say(f"what stands now is saved in {file}")
    return move


def _show(plan: Plan, cluster: str) -> None:
    say(f"cluster {cluster}: {plan.source} -> {plan.target}, with a new identity")
    for title, keys in (
        ("made again by the stack", plan.declared),
        ("made again from the inventory", plan.foreign),
    ):
        for kind, name in keys:
            say(f"  {title}: {kind}/{name}")
    for fault in plan.faults:
        typer.echo(f"error: {fault}", err=True)


def _read_protected(option: str) -> tuple[str, Mapping[str, str]]:
    """Read NAME=FILE.

    Raises:
        UserError: It isn't that, or the file is no map of texts; never shows a value.
    """
    name, separator, path = option.partition("=")
    if not name or not separator:
        raise UserError(f"--protected takes NAME=FILE, not {name!r}")
    try:
        settings = YAML(typ="safe").load(Path(path))
    except (OSError, YAMLError) as error:
        raise UserError(f"--protected {name}: {path} can't be read ({type(error).__name__})") from None
    if not isinstance(settings, dict) or not all(
        isinstance(text, str) for pair in settings.items() for text in pair
    ):
        raise UserError(f"--protected {name}: {path} is no map of settings to texts")
    return name.lower(), settings
