"""What `azlocal plan` shows beside addresses: the networks that are needed, and where machines are."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from infra.cli_output import (
    EXIT_RULE_BROKEN,
    Format,
    echo_findings,
    json_of_unread,
    json_text,
    unreadable,
    write,
)

if TYPE_CHECKING:
    from infra.placement.loss import Loss
    from infra.planning import Plan
    from infra.releasing import Release
    from infra.spec import Finding, InstanceSpec

EVERY_HOST = "all"


def show_sizes(directory: Path, stack: str, output: Format, target: Path | None) -> None:
    """Show what networks an instance needs."""
    from infra.addresses.lock import read_lock
    from infra.addresses.sizing import size_instance
    from infra.spec.loader import addresses_lock, load_netplan, load_stack

    if output not in {Format.TABLE, Format.JSON}:
        raise typer.BadParameter(f"--size can't be shown as {output}; use table or json", param_hint="--format")

    def unread(findings: "list[Finding]") -> str | None:
        return json_of_unread({"instance": stack, "networks": []}, findings) if output is Format.JSON else None

    with unreadable(unread, target):
        config, document, hosts = load_stack(stack, directory)
        lock = read_lock(addresses_lock(directory, config.site))
        netplan = load_netplan(config.site, directory)
        sizing = size_instance(stack, config, document, hosts, netplan, lock)
    if output is Format.JSON:
        write(json_text(sizing.to_json()), target)
    else:
        from infra.addresses.sizing.table import render_sizes

        write(render_sizes(sizing), target)
    echo_findings(sizing.findings)
    if not sizing.ok:
        raise typer.Exit(EXIT_RULE_BROKEN)


def show_release(found: "Release") -> None:
    """Show what is freed, and what stays and why."""
    for part in found.parts:
        typer.echo(f"netplans/{part.site}.lock.yaml:")
        for address, owner in part.addresses:
            typer.echo(f"  {address}  {owner}")
        typer.echo(f"  {len(part.addresses)} addresses, {part.vrrp_count} VRRP ids")
        if part.machine_count:
            typer.echo(f"hosts/{part.site}.lock.yaml:\n  the places of {part.machine_count} machines")
    if found.reason:
        typer.echo(f"note: {found.reason}; they stay", err=True)


def check_loss(spec: "InstanceSpec", asked: str | None) -> None:
    """Check that the host is there whose loss is asked about.

    Raises:
        SpecError: It isn't.
    """
    from infra.spec import Finding, SpecError
    from infra.spec.findings import shown

    hosts = [one.name for one in spec.hosts.hosts]
    if asked not in {None, EVERY_HOST, *hosts}:
        message = f"{shown(asked)} isn't in hosts/{spec.site}.yaml"
        remedy = f"name one of: {', '.join(hosts)}; or {EVERY_HOST}"
        raise SpecError([Finding("unknown-host", "error", "--without", message, remedy)])


def find_losses(plan: "Plan", asked: str | None) -> "list[Loss]":
    """Return what the losses that are asked about leave: one host's, or each host's."""
    from infra.placement.loss import every_loss, lose

    rooms = {one.name for one in plan.placement.rooms}
    if asked is None:
        return []
    if asked in rooms:
        return [lose(plan.placement, asked)]
    return every_loss(plan.placement)


def show_placement(plan: "Plan", losses: "Sequence[Loss]", output: Format, target: Path | None) -> None:
    """Show where machines are, and what losses leave."""
    addresses = {
        one.owner: one.address
        for network in plan.addresses.networks
        for one in network.allocations
        if one.is_recorded
    }
    if output is Format.TABLE and target is None:
        from rich.console import Console

        from infra.placement.report.table import print_placement

        print_placement(plan.placement, losses, addresses, Console())
        return
    from infra.placement.report.output import render_placement

    write(render_placement(plan.placement, output.value, losses, addresses), target)


def show_explanation(question: str, spec: "InstanceSpec", output: Format, *, use_lock: bool) -> None:
    """Say all there is to know of an address or a name."""
    from infra.addresses import Lock
    from infra.addresses.explain import explain
    from infra.placement import PlacementLock
    from infra.planning import Locks, plan_instance, read_locks

    locks = read_locks(spec) if use_lock else Locks(Lock(), PlacementLock())
    plan = plan_instance(spec, locks)
    hosts = {one.demand.owner: f"{one.host}: {one.why}" for one in plan.placement.placed}
    explanations = [
        one.with_fact("host", hosts.get(dict(one.facts).get("owner", "")))
        for one in explain(question, spec, plan.addresses, locks.addresses)
    ]
    if output is Format.JSON:
        typer.echo(json_text({"explanations": [one.to_json() for one in explanations]}), nl=False)
        return
    from rich.console import Console

    from infra.addresses.report.explanation import print_explanations

    print_explanations(explanations, Console())
