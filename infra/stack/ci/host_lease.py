"""The lease of a host, kept there: a small file changed by one command at a time, by what it was decided from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from infra.errors import UserError
from infra.ssh import Shell
from infra.stack.ci.lease import Decision, Lease, read_lease

LEASE_FILE: Final = "/var/lib/azlocal/ci.lease"
"""One for a host, whichever project's runs want it, and wherever they keep their files."""
LOCK_FILE: Final = "/run/azlocal-ci.lock"
_LOCK_SECONDS: Final = 20
_CHANGED: Final = 9
_TRIES: Final = 20
_NONE: Final = "-"

_READ: Final = 'date +%s; if [ -e "$1" ]; then cat -- "$1"; fi'
_SWAP: Final = f"""
have={_NONE}
if [ -e "$1" ]; then have=$(sha256sum <"$1"); have=${{have%% *}}; fi
[ "$have" = "$2" ] || exit {_CHANGED}
mkdir -p -- "${{1%/*}}"
umask 077
cat >"$1.new"
if [ -s "$1.new" ]; then sync -- "$1.new"; mv -- "$1.new" "$1"; else rm -f -- "$1.new" "$1"; fi
"""
"""Put what is read in the file's place, or remove the file where that is nothing, unless it changed meanwhile."""

Decide: TypeAlias = Callable[[Lease | None, int], Decision]
"""What becomes of the lease that a host has at a moment of its clock."""


@dataclass(frozen=True)
class Seen:
    """A host's lease as it is now.

    Attributes:
        lease: The lease; None: the host is free.
        now: The host's clock.
        digest: Of the file's content.
    """

    lease: Lease | None
    now: int
    digest: str = _NONE


def look(shell: Shell, path: str = LEASE_FILE) -> Seen:
    """Return the lease that a host has.

    Args:
        shell: Root's on the host.
        path: The lease's file.

    Raises:
        ShellError: The host doesn't answer.
        UserError: The file can't be read by this version.
    """
    now, _, content = shell.run(["sh", "-euc", _READ, "sh", path]).stdout.partition("\n")
    if not content:
        return Seen(None, int(now))
    lease = read_lease(content.encode())
    if lease is None:
        raise UserError(
            f"{shell.host}: {path} says which run has the host, and can't be read by this version of azlocal. "
            "Use the version that wrote it; or, if no pipeline uses the host and nothing of one is left "
            "(`virsh list --all`), remove the file"
        )
    return Seen(lease, int(now), hashlib.sha256(content.encode()).hexdigest())


def change(shell: Shell, decide: Decide, path: str = LEASE_FILE, lock: str = LOCK_FILE) -> tuple[Decision, int]:
    """Do with a host's lease what is decided; return that, and the host's clock then.

    Of several who decide at the same time one is the first, and the others decide again.

    Args:
        shell: Root's on the host.
        decide: Decides.
        path: The lease's file.
        lock: The file that whoever changes the lease locks.

    Raises:
        ShellError: The host doesn't answer.
        UserError: The file can't be read by this version, or others change it all the time.
    """
    for _ in range(_TRIES):
        seen = look(shell, path)
        decision = decide(seen.lease, seen.now)
        if decision.lease == seen.lease or _swap(shell, seen, decision.lease, path, lock):
            return decision, seen.now
    raise UserError(f"{shell.host}: {path} is changed by others all the time; try again")


def _swap(shell: Shell, seen: Seen, lease: Lease | None, path: str, lock: str) -> bool:
    content = f"{lease.model_dump_json(by_alias=True, indent=1)}\n".encode() if lease is not None else b""
    command = [
        "flock",
        "--exclusive",
        "--timeout",
        str(_LOCK_SECONDS),
        "--conflict-exit-code",
        str(_CHANGED),
        lock,
    ]
    done = shell.run([*command, "sh", "-euc", _SWAP, "sh", path, seen.digest], input=content, check=False)
    if done.exit_code not in (0, _CHANGED):
        raise UserError(
            f"{shell.host}: the lease {path} can't be written: {done.stderr.strip() or 'flock failed'}"
        )
    return done.exit_code == 0
