"""What heals a drill: `azlocal up`, as users run it, and the restore that it names where quorum is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from infra.kubernetes.api import ClusterError
from infra.stack.command import running
from infra.stack.drills.decision import Break
from infra.stack.messages import say

if TYPE_CHECKING:
    from infra.kubernetes.load import Client
    from infra.stack.state import Stack

_PAUSE: Final = 0.5
_UNNOTICED: Final = "`azlocal up` didn't say that quorum is lost: see what it made of the cluster"


@dataclass(frozen=True)
class Restored:
    """How a cluster came back that `up` alone doesn't bring back; seconds of the monotonic clock.

    Attributes:
        refused: When the first `up` had ended, which changes nothing and names the restore.
        ended: When the restore had.
    """

    refused: float
    ended: float


@dataclass(frozen=True)
class Healing:
    """What healed a drill; seconds of the monotonic clock.

    Attributes:
        began: When the first command did.
        ended: When the last one had.
        exit_code: How that ended; 1 where it ended well, and shouldn't have.
        fault: What is wrong, and what to do; empty where nothing is.
        restored: The restore before the last `up`, if any.
    """

    began: float
    ended: float
    exit_code: int
    fault: str = ""
    restored: Restored | None = None


def heal(stack: Stack, chosen: Break, client: Client) -> Healing:
    """Heal what a drill broke, by what a user would run.

    Args:
        stack: The stack.
        chosen: What was broken.
        client: The one whose namespace is made again after a restore: the snapshot doesn't know it.
    """
    began, restored = time.monotonic(), None
    if chosen.snapshot:
        if _run("up", stack) == 0:
            return Healing(began, time.monotonic(), 1, _UNNOTICED)
        refused = time.monotonic()
        with _namespace_kept(client):
            code = _run("restore", stack, chosen.cluster, chosen.snapshot, "--yes")
        restored = Restored(refused, time.monotonic())
        if code:
            return Healing(began, restored.ended, code, _ended("restore", code))
    code = _run("up", stack)
    return Healing(began, time.monotonic(), code, _ended("up", code) if code else "", restored)


def _run(verb: str, stack: Stack, *words: str) -> int:
    """Run a command as a user would, and return how it ended; what it prints isn't this command's result."""
    say(" ".join(("azlocal", verb, stack.name, *words)))
    sys.stderr.flush()
    command = [sys.executable, "-P", "-m", "infra.cli", verb, stack.name, *words]
    # One that is interrupted ends in order, and takes its time; the terminal tells it of a Ctrl-C itself.
    with running(command, on_term=signal.SIGTERM, cwd=stack.directory, stdin=subprocess.DEVNULL, stdout=2) as run:
        code = run.exit_code
    if signal.SIGINT in run.signals:
        raise KeyboardInterrupt
    if run.signals:
        raise SystemExit(128 + signal.SIGTERM)
    return code


@contextmanager
def _namespace_kept(client: Client) -> Iterator[None]:
    """Have the namespace in which clients write as soon as the API takes writes again: gaps are then the API's."""
    ended = threading.Event()

    def keep() -> None:
        while not ended.is_set():
            with suppress(ClusterError):
                client.keep_namespace()
                return
            ended.wait(_PAUSE)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _ended(verb: str, code: int) -> str:
    return f"`azlocal {verb}` ended with {code}: correct what it names, and run it again"
