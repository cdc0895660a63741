"""Folders that appear whole or not at all, and the locks that builders of them hold."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra import files
from infra.files import flush

Progress = Callable[[str], None]


@contextmanager
def locked(file: Path, doing: str, progress: Progress) -> Iterator[None]:
    """Hold a lock file for one process at a time; say what is waited for when another one has it."""
    with files.locked_if_free(file) as is_free:
        if is_free:
            yield
            return
    started = time.monotonic()
    progress(f"another process is {doing}; waiting for it")
    with files.locked(file):
        progress(f"waited {time.monotonic() - started:.0f} s for the other process")
        yield


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Give an empty folder to work in; what a killed build left there goes first. Needs the lock."""
    clear(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        # What a process that is still dying writes here is left for the next build to remove.
        shutil.rmtree(folder, ignore_errors=True)


def clear(folder: Path) -> None:
    """Remove what a build leaves in its work folder. Needs the lock."""
    if folder.exists():
        shutil.rmtree(folder)


def publish(source: Path, target: Path) -> None:
    """Make a finished file or folder visible under its name, whole, even if the power fails next."""
    for path in [source, *source.rglob("*")] if source.is_dir() else [source]:
        if not path.is_symlink():
            flush(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():  # a damaged one of the same digest
        shutil.rmtree(target)
    source.rename(target)
    flush(target.parent)


def disk_usage(path: Path) -> int:
    """Return the bytes that a file or a folder takes on disk."""
    entries = path.rglob("*") if path.is_dir() else [path]
    return sum(entry.lstat().st_blocks * 512 for entry in entries if entry.is_file())


def remove(path: Path) -> int:
    """Remove a file or a folder; return the bytes that it took."""
    size = disk_usage(path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return size


@contextmanager
def step(
    progress: Progress, name: str, detail: str, record: Callable[[float], None] | None = None
) -> Iterator[None]:
    """Say what begins, and how long it took; `record` keeps the seconds for the next time."""
    progress(f"{name}: {detail}")
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    progress(f"{name}: {seconds:.1f} s")
    if record:
        record(seconds)
