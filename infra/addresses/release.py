"""Free the addresses of an instance that is gone, or of parts of one, in its site's lock file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.addresses.lock import Lock, read_lock, update_lock
from infra.addresses.numbers import address_text
from infra.spec.findings import Finding, SpecError, shown

_ENDING = ".lock.yaml"


@dataclass(frozen=True, slots=True)
class Releasable:
    """What would be freed in one lock file.

    Attributes:
        path: The lock file.
        addresses: Address and owner, in order.
        vrrp_owners: Owners of VRRP ids that go.
    """

    path: Path
    addresses: tuple[tuple[str, str], ...]
    vrrp_owners: tuple[str, ...]


def find_releasable(directory: Path, stack: str, patterns: Sequence[str]) -> list[Releasable]:
    """Return what would be freed, by lock file.

    Args:
        directory: The project's folder.
        stack: The instance.
        patterns: Names of the plan, or shell patterns of them; none is everything.

    Raises:
        SpecError: A lock can't be read, no lock knows the instance or the names, or its stack file is still there.
    """
    stack_file = f"Pulumi.{stack}.yaml"
    if not patterns and (directory / stack_file).exists():
        message = f"{stack_file} is still there: its next plan would take the addresses again"
        raise _refusal("stack-exists", stack_file, message, "remove the file first, or name what to free")
    known: set[str] = set()
    found = []
    for path in sorted((directory / "netplans").glob(f"*{_ENDING}")):
        lock = read_lock(path)
        known.update(lock.instances)
        after = lock.release(stack, patterns or ("*",))
        if after != lock:
            found.append(_difference(path, lock, after))
    if not found:
        what = f"{', '.join(map(shown, patterns))} of " if patterns else ""
        message = f"no lock file knows {what}{shown(stack)}"
        raise _refusal(
            "nothing-to-free", "netplans", message, f"they know: {', '.join(sorted(known)) or 'nobody'}"
        )
    return found


def release(found: Sequence[Releasable], stack: str, patterns: Sequence[str]) -> None:
    """Free it in each lock file; the addresses are used again last.

    Raises:
        SpecError: A lock can't be read or written.
    """
    for one in found:
        update_lock(one.path, lambda lock: lock.release(stack, patterns or ("*",)))


def _difference(path: Path, lock: Lock, after: Lock) -> Releasable:
    gone = sorted(lock.given.keys() - after.given.keys())
    addresses = tuple((address_text(address), lock.given[address].owner) for address in gone)
    return Releasable(path, addresses, tuple(sorted(lock.vrrp.keys() - after.vrrp.keys())))


def _refusal(rule: str, path: str, message: str, remedy: str) -> SpecError:
    return SpecError([Finding(rule, "error", path, message, remedy)])
