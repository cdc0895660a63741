"""Free the places of an instance that is gone, or of parts of one, in the hosts' lock files."""

from collections.abc import Sequence
from pathlib import Path

from infra.placement.lock import PlacementLock, natural, read_placement_lock, update_placement_lock

_ENDING = ".lock.yaml"


def find_places(directory: Path, stack: str, patterns: Sequence[str]) -> dict[Path, list[str]]:
    """Return the machines whose places would be freed, by lock file.

    Args:
        directory: The project's folder.
        stack: The instance.
        patterns: Names of the plan, or shell patterns of them; none is everything.

    Raises:
        SpecError: A lock can't be read.
    """
    found = {}
    for path in sorted((directory / "hosts").glob(f"*{_ENDING}")):
        lock = read_placement_lock(path)
        gone = lock.machines.keys() - lock.release(stack, patterns or ("*",)).machines.keys()
        if gone:
            found[path] = sorted(gone, key=natural)
    return found


def release_places(paths: Sequence[Path], stack: str, patterns: Sequence[str]) -> None:
    """Free them in each lock file.

    Raises:
        SpecError: A lock can't be read or written.
    """

    def change(lock: PlacementLock) -> PlacementLock:
        return lock.release(stack, patterns or ("*",))

    for path in paths:
        update_placement_lock(path, change)
