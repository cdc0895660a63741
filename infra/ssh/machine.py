"""A shell on a machine of ours, by the key that its stack names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from infra.ssh.errors import LoginRefused
from infra.ssh.options import SshOptions, SshTarget, resolve
from infra.ssh.shell import Dial

if TYPE_CHECKING:
    import paramiko

    from infra.ssh.remote import SshShell


@dataclass(frozen=True)
class MachineTarget:
    """How a machine is logged in to.

    Attributes:
        user: Who logs in.
        address: The machine's address.
        host_key: Its public key, OpenSSH's one line: only that is accepted of it.
        identity_files: Private keys to try before the user's own.
        jump: The host to go through, as ssh names it; None: what the user's configuration says.
        dial: Opens the way there instead.
    """

    user: str
    address: str
    host_key: str
    identity_files: tuple[str, ...] = ()
    jump: str | None = None
    dial: Dial | None = None

    @contextmanager
    def shell(self) -> Iterator[SshShell]:
        """Yield a shell; it logs in with the first command."""
        from infra.ssh.remote import SshShell

        with self._options() as (target, options), closing(SshShell(target, options, self.dial)) as shell:
            yield shell

    def lets_in(self, keys: Collection[str]) -> bool:
        """Return whether somebody with one of these keys is let in, tried with those whose private half is here.

        Args:
            keys: OpenSSH public keys.

        Raises:
            SshError: The machine can't be reached.
        """
        from infra.ssh.login import log_in

        wanted = {line.split()[1] for line in keys}
        with self._options() as (target, options):
            for key in _private_keys(options):
                if key.get_base64() in wanted:
                    try:
                        log_in(target, options, self.dial, key).close()
                    except LoginRefused:
                        continue
                    return True
        return False

    @contextmanager
    def _options(self) -> Iterator[tuple[SshTarget, SshOptions]]:
        target = SshTarget(self.address, self.user)
        options = resolve(target)
        keys = (*(key for key in self.identity_files if Path(key).is_file()), *options.identity_files)
        jumps = (self.jump,) if self.jump else options.proxy_jump
        with TemporaryDirectory(prefix="azlocal-") as folder:
            known_hosts = Path(folder) / "known_hosts"
            known_hosts.write_text(f"{self.address} {self.host_key}\n", encoding="ascii")
            yield (
                target,
                replace(options, known_hosts=(str(known_hosts),), identity_files=keys, proxy_jump=jumps),
            )


def _private_keys(options: SshOptions) -> Iterator[paramiko.PKey]:
    """Yield the keys that a login would try, less those that only a passphrase opens."""
    import paramiko
    from cryptography.exceptions import UnsupportedAlgorithm
    from paramiko.pkey import UnknownKeyType

    unusable = (OSError, ValueError, TypeError, paramiko.SSHException, UnknownKeyType, UnsupportedAlgorithm)
    for path in options.identity_files:
        try:
            yield paramiko.PKey.from_path(path)
        except unusable:
            continue
    if options.use_agent:
        yield from paramiko.Agent().get_keys()


def machine_shell(
    user: str, address: str, host_key: str, identity_files: Iterable[str] = (), jump: str | None = None
) -> AbstractContextManager[SshShell]:
    """Return a shell on a machine; see `MachineTarget`."""
    return MachineTarget(user, address, host_key, tuple(identity_files), jump).shell()
