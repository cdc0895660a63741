"""Errors that a user can remedy, whatever part of the code meets them."""

from __future__ import annotations


class UserError(Exception):
    """Something can't be done; the message says what, where, and the remedy, and is all that is shown.

    Attributes:
        exit_code: that of a command that ends with it.
    """

    exit_code = 1


class Interrupted(UserError):
    """The operation was cancelled; what was made so far stands."""


class DeadlineExceeded(UserError):
    """The time for an operation is over; what was made so far stands."""
