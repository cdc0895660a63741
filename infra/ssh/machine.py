"""A shell on a machine of ours, by the key that its stack names."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from infra.ssh.options import SshTarget, resolve
from infra.ssh.remote import SshShell


def machine_shell(user: str, address: str, host_key: str, known_hosts: Path) -> SshShell:
    """Return a shell on a machine; only `host_key` is accepted of it.

    Args:
        user: Who logs in, with the user's own keys or the one that `make up` made.
        address: The machine's address.
        host_key: Its public key, OpenSSH's one line.
        known_hosts: A file to write that key to.
    """
    known_hosts.touch(mode=0o600)
    known_hosts.write_text(f"{address} {host_key}\n", encoding="ascii")
    target = SshTarget(address, user)
    options = resolve(target)
    made = Path(os.environ.get("AZLOCAL_SSH_PUBLIC_KEY_FILE", "").removesuffix(".pub") or os.devnull)
    identity_files = (*([str(made)] if made.is_file() else []), *options.identity_files)
    return SshShell(target, replace(options, known_hosts=(str(known_hosts),), identity_files=identity_files))
