"""The time that a command works on a stack: in its folder, with its file as it was and signals noticed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.stack.environment import Chosen
from infra.stack.state import Stack


@contextmanager
def at_work(chosen: Chosen) -> Iterator[Stack]:
    """Yield the stack in its chosen environment, from its folder; its file is kept as it was."""
    came_from = Path.cwd()
    os.chdir(chosen.directory)  # the engine's run is that of its current folder
    # The stack's file is put right after that, too. While the engine runs, SIGTERM is handed on to it.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with chosen.kept_stack_file():
            here = Stack.here(chosen.stack)
            here.drop_torn_attributes()
            yield here
    finally:
        signal.signal(signal.SIGTERM, before)
        os.chdir(came_from)
