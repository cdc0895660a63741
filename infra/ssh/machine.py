"""A shell on a machine of ours, by the key that its stack names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from infra.ssh.options import SshTarget, resolve

if TYPE_CHECKING:
    from infra.ssh.remote import SshShell


@contextmanager
def machine_shell(
    user: str, address: str, host_key: str, identity_files: Iterable[str] = (), jump: str | None = None
) -> Iterator[SshShell]:
    """Yield a shell on a machine; only `host_key` is accepted of it. It logs in with the first command.

    Args:
        user: Who logs in.
        address: The machine's address.
        host_key: Its public key, OpenSSH's one line.
        identity_files: Private keys to try before the user's own.
        jump: The host to go through, as ssh names it; None: what the user's configuration says.
    """
    from infra.ssh.remote import SshShell

    target = SshTarget(address, user)
    options = resolve(target)
    keys = (*(key for key in identity_files if Path(key).is_file()), *options.identity_files)
    jumps = (jump,) if jump else options.proxy_jump
    with TemporaryDirectory(prefix="azlocal-") as folder:
        known_hosts = Path(folder) / "known_hosts"
        known_hosts.write_text(f"{address} {host_key}\n", encoding="ascii")
        chosen = replace(options, known_hosts=(str(known_hosts),), identity_files=keys, proxy_jump=jumps)
        with closing(SshShell(target, chosen)) as shell:
            yield shell
