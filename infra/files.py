"""Files on this machine: where a user's are, replaced in one step, and locks that one process holds at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

_USUAL_MODE: Final = 0o666  # before the umask takes its share


def user_cache() -> Path:
    """Return where the user's programs keep what can be made again (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def user_state() -> Path:
    """Return where the user's programs keep what has to outlive them: state and logs (likewise)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


def replace_file(path: Path, content: str | bytes | Iterable[bytes], mode: int | None = None) -> None:
    """Write a file so that others, and whoever looks after a power cut, see the old content or the new one.

    Args:
        path: The file; its folder must exist. What was there goes, a link too.
        content: Text is written as UTF-8; parts are written as they come, and where that fails, none is.
        mode: Its permissions, also while it is written; absent: the usual ones, less the umask.

    Raises:
        OSError: It can't be written; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, _USUAL_MODE if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            content = content.encode() if isinstance(content, str) else content
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Have the disk hold what was written to a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file, made if need be; wait while another process has it. Started programs don't inherit it."""
    with _lock_file(file) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def locked_if_free(file: Path) -> Iterator[bool]:
    """Hold a lock file unless another process has it; yield whether it is held."""
    with _lock_file(file) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder itself, so that no lock file stands beside what people keep there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with _closing(descriptor):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _lock_file(file: Path) -> AbstractContextManager[int]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return _closing(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _USUAL_MODE))


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # which unlocks it
