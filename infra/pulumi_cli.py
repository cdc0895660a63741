"""The engine as a command, `pulumi`: what a stack put out, and a run of it in the caller's terminal."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from infra.errors import UserError

_COMMAND: Final = "pulumi"
_MISSING: Final = 'pulumi isn\'t on PATH; `eval "$(make env)"` puts it there'


def stack_outputs(stack: str, directory: Path, *, secrets: bool = False) -> dict[str, Any]:
    """Ask the engine for all outputs of a stack.

    Args:
        stack: The stack.
        directory: The project's folder.
        secrets: Whether to decrypt secret ones, which are `[secret]` otherwise.

    Raises:
        UserError: It isn't there, or gives none; says what it says.
    """
    said = _output(stack, directory, "outputs", "--json", *(["--show-secrets"] if secrets else []))
    found: dict[str, Any] = json.loads(said)
    return found


def stack_output(stack: str, directory: Path, name: str) -> str:
    """Ask the engine for one output of a stack, decrypted, as it prints it.

    Raises:
        UserError: It isn't there, or gives none; says what it says.
    """
    return _output(stack, directory, name, name, "--show-secrets")


def run_engine(stack: str, directory: Path, *arguments: str) -> None:
    """Run the engine on a stack; what it says goes where ours goes, and Ctrl-C is its own to answer.

    Raises:
        UserError: It isn't there, or it fails.
    """
    command = [_COMMAND, *arguments, "--stack", stack, "--non-interactive"]
    try:
        process = subprocess.Popen(command, cwd=directory)
    except FileNotFoundError as error:
        raise missing(error) from error
    code = _ended(process)
    if code != 0:
        raise UserError(f"`{' '.join(command)}` ended with {code}; mend what it says, then run this command again")


def _output(stack: str, directory: Path, what: str, *arguments: str) -> str:
    command = [_COMMAND, "stack", "output", *arguments, "--stack", stack, "--non-interactive"]
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise missing(error) from error
    if done.returncode != 0:
        said = done.stderr.strip().removeprefix("error: ")
        raise UserError(
            f"stack {stack} gives no {what}: {said}. `make up STACK={stack}` makes what it lacks; "
            '`eval "$(make env)"` gives this shell the state and the passphrase that make uses'
        )
    return done.stdout


def missing(error: FileNotFoundError) -> UserError:
    """Return what a user is told where the command can't be started."""
    # The folder to run in may be what is missing: then the command's name isn't the file that the error names.
    if error.filename == _COMMAND:
        return UserError(_MISSING)
    return UserError(f"{error.filename}: there is no such folder")


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code; Ctrl-C is the engine's to answer, which ends in order and keeps its state."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
