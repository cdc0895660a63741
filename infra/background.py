"""Processes of this machine that outlive whoever starts them.

Such a process is known again by its PID file and by words of its command line: a number that another process has
by now is never taken for it, whatever was killed in between.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOG_TAIL: Final = 1500
# Those that this process started: they outlive it, and until then their exit codes are its to take.
_CHILDREN: Final[dict[int, subprocess.Popen[bytes]]] = {}


class StillRuns(Exception):
    """A process doesn't end."""


@dataclass(frozen=True)
class Background:
    """A process that outlives whoever starts it.

    Attributes:
        pid_file: Has its number, written by itself or by whoever started it.
        log_file: Takes what it prints.
        words: Its command line has a word of each of these sets.
    """

    pid_file: Path
    log_file: Path
    words: tuple[frozenset[str], ...]

    @property
    def pid(self) -> int | None:
        """Return its number while it runs."""
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        is_ours = all(any(os.fsencode(word) in command for word in words) for words in self.words)
        return pid if is_ours and state != "Z" else None

    def start(self, argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, with nothing of this process's environment.

        What it prints is appended, so that the log can be cut under it.
        """
        with self.log_file.open("ab") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        _CHILDREN[process.pid] = process
        return process

    def stop(self, seconds: float, *, kill: bool = False) -> bool:
        """End it, and wait until it has ended. Return whether it ran.

        Args:
            seconds: How long it may take.
            kill: Whether it is killed after that.

        Raises:
            StillRuns: It takes longer.
        """
        _reap()
        pid = self.pid
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self.pid is not None or pid in _CHILDREN:
            if time.monotonic() > deadline:
                if not kill:
                    raise StillRuns
                os.kill(pid, signal.SIGKILL)
                deadline = time.monotonic() + seconds
            time.sleep(0.02)
            _reap()
        return True

    def log_tail(self) -> str:
        """Return what its log ends with, as the end of a message."""
        text = self.log_file.read_text(errors="replace").strip() if self.log_file.exists() else ""
        return f"its log ends: {text[-_LOG_TAIL:]}" if text else "its log is empty."

    def cut_log(self, most: int) -> None:
        """Cut a log of more than `most` bytes; its end goes to another file. Does nothing where only root may."""
        try:
            # What it occupies: where an older version of ours opened it, it keeps its length as a hole.
            if self.log_file.stat().st_blocks * 512 <= most:
                return
            with self.log_file.open("r+b") as file:
                file.seek(-most, os.SEEK_END)
                self.log_file.with_suffix(f"{self.log_file.suffix}.1").write_bytes(file.read())
                file.truncate(0)
        except (FileNotFoundError, PermissionError):
            return


def wait_for(is_ready: Callable[[], bool], has_ended: Callable[[], bool], seconds: float) -> str | None:
    """Wait until a process is ready; return None, or what is wrong with it: that it ended again, or is silent."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        if has_ended():
            return "ended again"
        if time.monotonic() > deadline:
            return f"doesn't answer after {seconds:.0f} s"
        time.sleep(0.05)
    return None


def _reap() -> None:
    """Take the exit codes of children that have ended: they would stay as zombies."""
    for pid, child in list(_CHILDREN.items()):
        if child.poll() is not None:
            del _CHILDREN[pid]
