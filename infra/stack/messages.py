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
