"""Room for the machines' disks."""

from __future__ import annotations

from typing import Final

from infra.counting import counted
from infra.doctor.checks.base import GIB, Subject, Verdict, check, failed, gib, known, ok, warning
from infra.hosts.facts.storage import FileSystem

_LEAST_STORE: Final = 6 * GIB
"""A new store of 4 GiB and what is left to the host beside it (infra/kvm/clone_store.py)."""

_LEAST_IMAGE: Final = 4 * GIB
"""The node image, which every disk lies on."""

_LEAST_MACHINE: Final = 2 * GIB
"""What a node writes in its first hour."""

_MARGIN_SHARE: Final = 20
_LEAST_MARGIN: Final = 2 * GIB
_MOST_MARGIN: Final = 20 * GIB
"""The margin below a store is a twentieth of the file system, as a new store leaves it, within these bounds."""


@check("free-disk")
def free_disk(subject: Subject) -> Verdict:
    """Disk for the machines placed there.

    Disks grow on demand: what they may grow to is a warning, what they need at once is not.
    """
    folder = subject.host.storage_directory
    storage = known(subject.facts.storage)
    holding = storage.holding(folder)
    if holding is None:
        return failed(f"no file system holds {folder}", "mount one there, or set storageDirectory")
    remedy = f"free some, or set storageDirectory of {subject.host.where} to a bigger file system"
    available = storage.available(holding)
    where = f"{gib(available)} free at {holding.target}"
    machines = subject.host.machines or ()
    stands = holding.target == folder
    least = 0 if stands else _LEAST_STORE + _LEAST_IMAGE + _LEAST_MACHINE * len(machines)
    if available < max(least, GIB):
        return failed(f"{where}; at least {gib(max(least, GIB))} are needed", remedy)
    disks = f"the disks of {counted(len(machines), 'machine')} may grow to"
    most = sum(machine.disk_gib for machine in machines) * GIB
    below = storage.below(holding)
    if below and below.available < _margin(below):
        return warning(
            f"{where}; the store's file can grow by {gib(below.available)} at {below.target}, whose margin is "
            f"{gib(_margin(below))}: where nothing is left, running machines lose what they write",
            remedy.replace("free some", f"free some at {below.target}"),
        )
    if available < most:
        return warning(f"{where}; {disks} {gib(most)}", remedy)
    return ok(f"{where}; {disks} {gib(most)}")


def _margin(below: FileSystem) -> int:
    """Return what should be left below a store: others fill that disk, too, and the store can't know it."""
    return min(max(below.size // _MARGIN_SHARE, _LEAST_MARGIN), _MOST_MARGIN)
