"""The engine as a command, `pulumi`: it is started here and nowhere else."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from infra.errors import UserError

_COMMAND: Final = "pulumi"
_NOTICED: Final = 0.2
"""Within how many seconds a signal is noticed."""
_MISSING: Final = "pulumi isn't on PATH; `make setup` installs it where azlocal finds it"


@dataclass(frozen=True)
class Started:
    """A run of the command.

    Attributes:
        process: it.
        signals: those that came meanwhile.
    """

    process: subprocess.Popen[Any]
    signals: Sequence[int]

    @property
    def exit_code(self) -> int:
        """Return how it ended, as a shell counts it."""
        code: int = self.process.wait()
        return code if code >= 0 else 128 - code


class Signals:
    """Notes signals that ask for the end, instead of ending; also while the command runs, which has them first."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self.came = True

    def wait(self, seconds: float) -> None:
        """Wait as long, or until a signal comes."""
        end = time.monotonic() + seconds
        while not self.came and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _NOTICED))

    @contextmanager
    def noted(self) -> Iterator[Signals]:
        """Note SIGINT and SIGTERM in a block."""
        before = {number: signal.signal(number, self) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def started(
    *arguments: str, directory: Path | None = None, environment: Mapping[str, str] | None = None, **options: Any
) -> Iterator[Started]:
    """Start the command, and wait for its end when the block is left.

    Ctrl-C, which the terminal sends to it as well, is its own to answer: it ends in order and keeps its state.
    SIGTERM, which only we get, is handed on to it as that.

    Raises:
        UserError: there is no such command, or no such folder.
    """
    options |= {"cwd": directory, "env": environment}
    with running([_COMMAND, *arguments], on_term=signal.SIGINT, **options) as run:
        yield run


@contextmanager
def running(command: Sequence[str], *, on_term: signal.Signals, **options: Any) -> Iterator[Started]:
    """Start any command whose end takes its time in order, and wait for that when the block is left.

    Args:
        command: Its words.
        on_term: What it is told where we get a SIGTERM, which only we get.
        options: Of subprocess.Popen.

    Raises:
        UserError: there is no such command, or no such folder.
    """
    signals: list[int] = []
    processes: list[subprocess.Popen[Any]] = []

    before: dict[int, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        outer = before.get(number)
        if isinstance(outer, Signals):
            outer(number, _frame)
        for process in processes:
            if number == signal.SIGTERM:
                process.send_signal(on_term)

    # Only the main thread gets signals; a command of another one is its own to end.
    if threading.current_thread() is threading.main_thread():
        before |= {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = _popen(command, **options)
        early = signal.SIGTERM in signals
        processes.append(process)
        if early:  # before there was a process to hand it to
            process.send_signal(on_term)
        yield Started(process, signals)
        process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _popen(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    try:
        return subprocess.Popen(command, **options)
    except FileNotFoundError as error:
        # The folder to run in may be what is missing: then the command's name isn't the file that the error names.
        is_command = error.filename == _COMMAND
        raise UserError(_MISSING if is_command else f"{error.filename}: there is no such folder") from error


def ask(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the command without a terminal, and return its code and what it printed.

    Raises:
        UserError: there is no such command, or no such folder.
    """
    pipe = subprocess.PIPE
    words = (*arguments, "--non-interactive")
    with started(*words, directory=directory, stdout=pipe, stderr=pipe, text=True) as run:
        stdout, stderr = run.process.communicate()
    if signal.SIGINT in run.signals:
        raise KeyboardInterrupt
    if run.signals:
        raise SystemExit(128 + signal.SIGTERM)
    return subprocess.CompletedProcess(arguments, run.exit_code, stdout, stderr)


def run_engine(stack: str, directory: Path, *arguments: str) -> None:
    """Run the command on a stack in the caller's terminal.

    Raises:
        UserError: it isn't there, or it fails.
    """
    words = [*arguments, "--stack", stack, "--non-interactive"]
    with started(*words, directory=directory) as run:
        pass
    if run.exit_code != 0:
        line = " ".join([_COMMAND, *words])
        raise UserError(f"`{line}` ended with {run.exit_code}; correct what it names, then run this command again")


def stack_outputs(stack: str, directory: Path, *, secrets: bool = False) -> dict[str, Any]:
    """Ask the engine for all outputs of a stack.

    Args:
        stack: The stack.
        directory: The project's folder.
        secrets: Whether to decrypt secret ones, which are `[secret]` otherwise.

    Raises:
        UserError: It isn't there, or gives none; the message has the engine's reason.
    """
    text = _output(stack, directory, "outputs", "--json", *(["--show-secrets"] if secrets else []))
    outputs: dict[str, Any] = json.loads(text)
    return outputs


def stack_output(stack: str, directory: Path, name: str) -> str:
    """Ask the engine for one output of a stack, decrypted, as it prints it.

    Raises:
        UserError: It isn't there, or gives none; the message has the engine's reason.
    """
    return _output(stack, directory, name, name, "--show-secrets")


def _output(stack: str, directory: Path, what: str, *arguments: str) -> str:
    done = ask("stack", "output", *arguments, "--stack", stack, directory=directory)
    if done.returncode != 0:
        reason = done.stderr.strip().removeprefix("error: ")
        raise UserError(f"stack {stack} gives no {what}: {reason}. `make up STACK={stack}` makes what it lacks")
    return done.stdout
