"""How a command of `azlocal` ends: its exit codes, and the one place that turns errors into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from infra.cli.output import echo_findings, write

if TYPE_CHECKING:
    from infra.spec import Finding


class ExitCode(IntEnum):
    """What a command's end says to scripts; EXIT_CODES explains them to people."""

    DONE = 0
    FAILED = 1
    RULE_BROKEN = 2
    BUSY = 3


EXIT_CODES = """\b
Exit codes:
    0    done, and what was checked is sound
    1    it can't be done: the input can't be read, or what it needs doesn't answer;
         `image verify`: damage or a security hole; `emulator status` and
         `hypervisor status`: it doesn't run
    2    a rule is broken, a check failed, something was left, something
         doesn't stand as it is planned; or the command line is wrong
    3    `status`: a run of the stack goes on
    130  stopped by Ctrl-C
"""


@contextmanager
def errors() -> Iterator[None]:
    """Turn what a user can remedy into a message and an exit code; the root of all commands is run in it."""
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as error:
        code = _echo(error)
        if code is None:
            raise
        raise typer.Exit(code) from None


def _echo(error: Exception) -> int | None:
    """Print an error that a user can remedy, and return the exit code; None for a fault of ours."""
    from infra.errors import UserError
    from infra.spec.findings import SpecError
    from infra.ssh.errors import ShellError

    if isinstance(error, SpecError):
        echo_findings(error.findings)
        return ExitCode.FAILED
    if not isinstance(error, UserError | ShellError | OSError):
        return None
    if str(error):
        typer.echo(f"error: {error}", err=True)
    return error.exit_code if isinstance(error, UserError) else ExitCode.FAILED


@contextmanager
def unreadable(rendered: Callable[[list[Finding]], str | None], target: Path | None) -> Iterator[None]:
    """Write what stands instead of an output whose input can't be read; the error itself goes on.

    Args:
        rendered: Returns it in the format that was asked for; None where people read it, who have the findings.
        target: The file that it is written to; None: standard output.
    """
    from infra.spec.findings import SpecError

    try:
        yield
    except SpecError as error:
        text = rendered(error.findings)
        if text is not None:
            write(text, target)
        raise
