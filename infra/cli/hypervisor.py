"""`azlocal hypervisor …`: libvirt on this machine."""

from __future__ import annotations

import typer

from infra.cli.errors import ExitCode
from infra.model.local_libvirt import LXC, QEMU
from infra.stack.messages import say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="libvirt on this machine: start it where nobody else does.",
)


@app.command()
def start() -> None:
    """Make libvirt answer; silent where it does already."""
    from infra.kvm import daemon

    daemon.start(say)


@app.command()
def stop() -> None:
    """End the daemons that `start` started, unless machines or networks still run."""
    from infra.kvm import daemon

    daemon.stop(say)


@app.command()
def status() -> None:
    """Say whether libvirt answers, and whose it is; the exit code is 0 when it does."""
    from infra.kvm import daemon

    daemon_status = daemon.status()
    own = ", ".join(f"{name} ({pid})" for name, pid in daemon_status.own.items())
    whose = (
        f"started by azlocal: {own}" if own else "systemd's" if daemon_status.under_systemd else "not azlocal's"
    )
    for uri in (QEMU, LXC):
        reason = daemon_status.unanswered.get(uri)
        typer.echo(f"{uri}: {f'no answer: {reason}' if reason else f'answers ({whose})'}")
    if daemon_status.unanswered:
        raise typer.Exit(ExitCode.FAILED)
