"""What is told beside what the engine tells."""

from __future__ import annotations

import sys

from infra.errors import UserError


def no_such_stack(name: str) -> UserError:
    """Return what a user is told who asks for a stack before it is made."""
    return UserError(f"there is no stack '{name}' yet; `make up STACK={name}` makes it")


def say(text: str) -> None:
    """Tell the user what is done and why."""
    sys.stdout.flush()
    print(f"azlocal: {text}", file=sys.stderr)  # noqa: T201


def confirmed(stack: str, purpose: str, *, yes: bool) -> None:
    """Have the user say that something is meant, by typing the stack's name.

    Args:
        stack: Its name.
        purpose: What it is typed for, as `adopt it`.
        yes: Whether the user has said so already.

    Raises:
        UserError: It isn't meant, or nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("nobody can be asked whether that is meant: add --yes")
    sys.stderr.write(f"Type the stack's name ({stack}) to {purpose}: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != stack:
        raise UserError("another name was typed; nothing was touched")
