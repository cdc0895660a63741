"""Ports of one host on another, through the SSH connections that this machine has to both.

The two hosts need no way to each other, and nothing of it crosses a network in the clear. OpenSSH carries it: it
is many times faster than paramiko, and these are whole disks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from infra.ssh.errors import SshError
from infra.ssh.options import words
from infra.ssh.process import Process, ssh_command
from infra.ssh.shell import Shell

_LOOPBACK: Final = "127.0.0.1"
_READY: Final = "ready"
_READY_SECONDS: Final = 30.0
_HOLD: Final = ("sh", "-c", f"echo {_READY}; exec cat")
"""Says when the forwards stand, and ends with this machine's end of the connection."""

_OPTIONS: Final = {
    "ExitOnForwardFailure": "yes",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "4",
}


@contextmanager
def port_tunnel(near: Shell, far: Shell, ports: Mapping[int, int]) -> Iterator[None]:
    """Let programs on `near` reach ports of `far`, loopback to loopback.

    Where both are other machines, their ends meet here in sockets that only this user may open.

    Args:
        near: where the ports are listened on, as long as this lasts.
        far: where somebody listens by the time they are used.
        ports: TCP ports there, by the ports here that lead to them.

    Raises:
        SshError: a connection can't be had, or sshd there forbids forwarding (AllowTcpForwarding).
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="azlocal-")))
        begins = {port: f"{_LOOPBACK}:{port}" for port in ports}
        # Short names: a socket's path has room for 107 characters (unix(7)).
        meets = {port: str(folder / str(port)) for port in ports}
        ends = {port: f"{_LOOPBACK}:{to}" for port, to in ports.items()}
        if far.ssh_arguments is not None:
            first = begins if near.ssh_arguments is None else meets
            stack.enter_context(_forward(far, "-L", first, ends))
        if near.ssh_arguments is not None:
            last = ends if far.ssh_arguments is None else meets
            stack.enter_context(_forward(near, "-R", begins, last))
        yield


@contextmanager
def _forward(shell: Shell, flag: str, listens: Mapping[int, str], leads_to: Mapping[int, str]) -> Iterator[None]:
    """Hold an ssh command with these forwards; ssh writes each as `where it listens:where it leads to`."""
    forwards = [word for port in listens for word in (flag, f"{listens[port]}:{leads_to[port]}")]
    command = ssh_command(shell.ssh_arguments or (), _HOLD, [*words(_OPTIONS), *forwards])
    with Process(shell.host, _HOLD, command, over_ssh=True) as process:
        if _READY not in process.lines(patience=_READY_SECONDS):
            raise SshError(f"{shell.host}: the SSH connection for a tunnel ended at once")
        yield
