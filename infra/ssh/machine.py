"""A shell on a machine of ours, by the key that its stack names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infra.ssh.options import SshTarget, resolve

if TYPE_CHECKING:
    from infra.ssh.remote import SshShell


def machine_shell(
    user: str,
    address: str,
    host_key: str,
    known_hosts: Path,
    identity_files: Iterable[str] = (),
    jump: str | None = None,
) -> SshShell:
    """Return a shell on a machine; only `host_key` is accepted of it.

    Args:
        user: Who logs in.
        address: The machine's address.
        host_key: Its public key, OpenSSH's one line.
        known_hosts: A file to write that key to.
        identity_files: Private keys to try before the user's own.
        jump: The host to go through, as ssh names it; None: what the user's configuration says.
    """
    from infra.ssh.remote import SshShell

    known_hosts.touch(mode=0o600)
    known_hosts.write_text(f"{address} {host_key}\n", encoding="ascii")
    target = SshTarget(address, user)
    options = resolve(target)
    keys = (*(key for key in identity_files if Path(key).is_file()), *options.identity_files)
    jumps = (jump,) if jump else options.proxy_jump
    return SshShell(
        target, replace(options, known_hosts=(str(known_hosts),), identity_files=keys, proxy_jump=jumps)
    )
