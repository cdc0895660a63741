"""Errors that a user can remedy, whatever part of the code meets them."""

from __future__ import annotations


class UserError(Exception):
    """Something can't be done; the message says what, where, and the remedy, and is all that is shown."""


class Interrupted(UserError):
    """The operation was cancelled or ran out of time; what was made so far stands."""
