"""`azlocal …`: a module a group of commands, and what they say the same way."""

from infra.cli.main import app

__all__ = ["app"]
