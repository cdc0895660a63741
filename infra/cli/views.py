"""What `azlocal plan` shows beside addresses: the networks that are needed, and where machines are."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from infra.cli.errors import ExitCode, unreadable
from infra.cli.output import Format, echo_findings, json_of_unread, json_text, write
from infra.counting import counted

if TYPE_CHECKING:
    from infra.plan.instance import Plan
    from infra.plan.placement.loss import Loss
    from infra.plan.releasing import Release
    from infra.spec import Finding, InstanceSpec

EVERY_HOST = "all"


def show_sizes(directory: Path, stack: str, output: Format, target: Path | None) -> None:
    """Show what networks an instance needs."""
    from infra.plan.addresses.lock import ADDRESS_LOCK
    from infra.plan.sizing import size_instance
    from infra.spec.loader import load_stack
    from infra.spec.reading import addresses_lock, load_netplan

    if output not in {Format.TABLE, Format.JSON}:
        raise typer.BadParameter(f"--size can't be shown as {output}; use table or json", param_hint="--format")

    def unread(findings: "list[Finding]") -> str | None:
        return json_of_unread({"instance": stack, "networks": []}, findings) if output is Format.JSON else None

    with unreadable(unread, target):
        config, document, hosts = load_stack(stack, directory)
        lock = ADDRESS_LOCK.read(addresses_lock(directory, config.site))
        netplan = load_netplan(config.site, directory)
        sizing = size_instance(stack, config, document, hosts, netplan, lock)
    if output is Format.JSON:
        write(json_text(sizing.to_json()), target)
    else:
        from infra.plan.sizing.table import render_sizes

        write(render_sizes(sizing), target)
    echo_findings(sizing.findings)
    if not sizing.ok:
        raise typer.Exit(ExitCode.RULE_BROKEN)


def show_release(release: "Release") -> None:
    """Show what is freed, and what stays and why."""
    for part in release.parts:
        typer.echo(f"netplans/{part.site}.lock.yaml:")
        for address, owner in part.addresses:
            typer.echo(f"  {address}  {owner}")
        typer.echo(f"  {counted(len(part.addresses), 'address')}, {counted(part.vrrp_count, 'VRRP id')}")
        if part.machine_count:
            typer.echo(f"hosts/{part.site}.lock.yaml:\n  the places of {counted(part.machine_count, 'machine')}")
    if release.reason:
        typer.echo(f"note: {release.reason}; they stay", err=True)


def check_loss(spec: "InstanceSpec", without: str | None) -> None:
    """Check that the host is there whose loss is asked about.

    Raises:
        SpecError: It isn't.
    """
    from infra.spec import Finding, SpecError
    from infra.spec.findings import shown

    hosts = [host.name for host in spec.hosts.hosts]
    if without not in {None, EVERY_HOST, *hosts}:
        message = f"{shown(without)} isn't in hosts/{spec.site}.yaml"
        remedy = f"name one of: {', '.join(hosts)}; or {EVERY_HOST}"
        raise SpecError([Finding("unknown-host", "error", "--without", message, remedy)])


def find_losses(plan: "Plan", without: str | None) -> "list[Loss]":
    """Return what the losses that are asked about leave: one host's, or each host's."""
    from infra.plan.placement.loss import every_loss, lose

    rooms = {room.name for room in plan.placement.rooms}
    if without is None:
        return []
    if without in rooms:
        return [lose(plan.placement, without)]
    return every_loss(plan.placement)


def show_placement(plan: "Plan", losses: "Sequence[Loss]", output: Format, target: Path | None) -> None:
    """Show where machines are, and what losses leave."""
    addresses = {
        allocation.owner: allocation.address
        for network in plan.addresses.networks
        for allocation in network.allocations
        if allocation.is_recorded
    }
    if output is Format.TABLE and target is None:
        from rich.console import Console

        from infra.plan.report.placement.table import print_placement

        print_placement(plan, losses, addresses, Console())
        return
    from infra.plan.report.placement.output import render_placement

    write(render_placement(plan, output.value, losses, addresses), target)


def show_explanation(question: str, spec: "InstanceSpec", output: Format, *, use_lock: bool) -> None:
    """Say all there is to know of an address or a name."""
    from infra.plan.explain import explain
    from infra.plan.instance import plan_instance
    from infra.plan.locks import Locks, SiteLocks

    locks = SiteLocks.of(spec).read() if use_lock else Locks()
    plan = plan_instance(spec, locks)
    hosts = {placed.machine.owner: f"{placed.host}: {placed.why}" for placed in plan.placement.placed}
    explanations = [
        explanation.with_fact("host", hosts.get(dict(explanation.facts).get("owner", "")))
        for explanation in explain(question, spec, plan, locks.addresses)
    ]
    if output is Format.JSON:
        typer.echo(json_text({"explanations": [explanation.to_json() for explanation in explanations]}), nl=False)
        return
    from rich.console import Console

    from infra.plan.report.addresses.explanation import print_explanations

    print_explanations(explanations, Console())
