"""`azlocal hypervisor …`: libvirt on this machine."""

from __future__ import annotations

from collections.abc import Callable

import typer

app = typer.Typer(no_args_is_help=True, help="libvirt on this machine: start it where nobody else does.")


def _say(text: str) -> None:
    typer.echo(f"azlocal: {text}", err=True)


def _act(action: Callable[[Callable[[str], None]], None]) -> None:
    from infra.kvm.errors import HostError

    try:
        action(_say)
    except HostError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


@app.command()
def start() -> None:
    """Make libvirt answer; silent where it does already."""
    from infra.kvm import daemon

    _act(daemon.start)


@app.command()
def stop() -> None:
    """End the daemons that `start` started, unless machines or networks still run."""
    from infra.kvm import daemon

    _act(daemon.stop)


@app.command()
def status() -> None:
    """Say whether libvirt answers, and whose it is; the exit code is 0 when it does."""
    from infra.kvm import daemon

    found = daemon.status()
    own = ", ".join(f"{process.name} ({process.pid})" for process in found.own)
    whose = f"started by azlocal: {own}" if own else "systemd's" if found.under_systemd else "not azlocal's"
    for uri in (daemon.QEMU, daemon.LXC):
        reason = found.unanswered.get(uri)
        typer.echo(f"{uri}: {f'no answer: {reason}' if reason else f'answers ({whose})'}")
    if found.unanswered:
        raise typer.Exit(1)
