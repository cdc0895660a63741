"""What the kinds that wait for a cluster have in common: the wait, and the logs when it was in vain."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from infra.errors import UserError
from infra.guest import LOGIN_USER
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.collect import MachineLogin, collect, default_folder
from infra.kubernetes.waiting import NotReady
from infra.plugin.operation import Operation
from infra.resources.control_plane import Member
from infra.ssh import Shell, ShellError, machine_shell

if TYPE_CHECKING:
    from infra.ssh import SshShell

_COMMAND_SECONDS: Final = 20.0

Login = Callable[[Member], contextlib.AbstractContextManager[Shell]]
"""Opens a shell on a machine of a cluster, as somebody who may become root."""


def explain(
    op: Operation,
    cluster: str,
    api: ClusterApi,
    failure: NotReady,
    namespaces: Iterable[str],
    members: Iterable[Member],
    identity_files: Iterable[str],
) -> str:
    """Collect logs and return the whole message: what is missing, why, where the logs are, what to do."""
    op.status("collecting logs")
    folder = default_folder(cluster)
    with contextlib.ExitStack() as stack:
        logins = [
            MachineLogin(member.name, _as_root(stack.enter_context(logged_in(member, identity_files))))
            for member in members
        ]
        collect(folder, api, namespaces, logins)
    listed = "\n".join(f"  - {reason}" for reason in failure.reasons)
    return (
        f"cluster {cluster} isn't ready; it lacks:\n{listed}\nLogs of its pods and machines are in {folder}. "
        "Fix the cause, then run `pulumi up` again; it resumes from here. What was stopped or changed by hand, "
        "`pulumi refresh` finds first."
    )


def logged_in(member: Member, identity_files: Iterable[str]) -> contextlib.AbstractContextManager[SshShell]:
    """Return a shell on a machine, by the host key that its stack names; it logs in with the first command.

    Args:
        member: The machine.
        identity_files: Private keys to try before the user's own.
    """
    return machine_shell(LOGIN_USER, member.address, member.ssh_host_key, identity_files)


def _as_root(shell: SshShell) -> Callable[[Sequence[str]], str]:
    def run(argv: Sequence[str]) -> str:
        try:
            result = shell.run(["sudo", *argv], timeout=_COMMAND_SECONDS, check=False)
        except ShellError as error:
            raise UserError(str(error)) from error
        return f"{result.stdout}{result.stderr}"

    return run
