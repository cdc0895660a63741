"""What can go wrong with the emulator as a program; what it answers as Azure is in `http`."""

from __future__ import annotations

from infra.errors import UserError


class EmulatorError(UserError):
    """The emulator can't be set up, started, stopped or read."""
