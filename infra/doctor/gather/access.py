"""The way to a host: reach it, know it, get in, become root."""

from __future__ import annotations

from ipaddress import IPv4Address

from infra.doctor.facts import Access, AccessStage
from infra.doctor.gather.commands import Unlearned, time_for
from infra.model.work import Work
from infra.ssh import (
    HostKeyChanged,
    HostKeyRevoked,
    HostKeyUnknown,
    LocalShell,
    LoginRefused,
    Shell,
    ShellError,
    SshError,
)

_STAGES: dict[type[SshError], AccessStage] = {
    HostKeyUnknown: "hostKeyUnknown",
    HostKeyChanged: "hostKeyChanged",
    HostKeyRevoked: "hostKeyRevoked",
    LoginRefused: "loginRefused",
}
_FIRST_SECONDS = 10.0
_SSH_PORT = 22


def reach(shell: Shell, work: Work) -> Access:
    """Log in, and see who we are there."""
    try:
        user_id, user = _identity(shell, work)
    except SshError as error:
        return Access(_STAGES.get(type(error), "unreachable"), str(error))
    except (ShellError, Unlearned, ValueError) as error:
        return Access("unreachable", f"it let us in, and then didn't run `id`: {error}")
    over_ssh = not isinstance(shell, LocalShell)
    server = _server(shell, work) if over_ssh else None
    return Access(
        stage="reached",
        user=user,
        is_root=user_id == 0,
        can_sudo=user_id == 0 or _can_sudo(shell, work),
        over_ssh=over_ssh,
        server_address=server[0] if server else None,
        forwarding=_forwarding(shell, server[1] if server else _SSH_PORT) if over_ssh else None,
    )


def _identity(shell: Shell, work: Work) -> tuple[int, str]:
    number = shell.run(["id", "--user"], timeout=time_for(work, _FIRST_SECONDS)).stdout
    name = shell.run(["id", "--user", "--name"], timeout=time_for(work, _FIRST_SECONDS), check=False).stdout
    return int(number), name.strip() or number.strip()


def _can_sudo(shell: Shell, work: Work) -> bool:
    try:
        argv = ["sudo", "--non-interactive", "true"]
        return shell.run(argv, timeout=time_for(work, _FIRST_SECONDS), check=False).exit_code == 0
    except (ShellError, Unlearned):
        return False  # it waits for something nobody will give


def _server(shell: Shell, work: Work) -> tuple[IPv4Address, int] | None:
    """Return the address and port that the SSH connection comes in at, by sshd's own word."""
    try:
        result = shell.run(["printenv", "SSH_CONNECTION"], timeout=time_for(work, _FIRST_SECONDS), check=False)
        words = result.stdout.split()
        return IPv4Address(words[2]), int(words[3])
    except (IndexError, ValueError, ShellError, Unlearned):
        return None


def _forwarding(shell: Shell, port: int) -> str | None:
    """Return why sshd lets no connection through; the host's own sshd is one that surely listens."""
    try:
        shell.dial("127.0.0.1", port, timeout=_FIRST_SECONDS).close()
    except SshError as error:
        return str(error)
    except OSError:
        return None  # it was let through, and only found nobody there
    return None
