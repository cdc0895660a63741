"""What can go wrong between the plugin and an API server, as the user should read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra.errors import UserError

NAME: Final = "azlocal's stand-in for the kubernetes plugin"


class ClusterUnreachable(UserError):
    """The API server didn't answer; nothing is known about what stands in the cluster."""


class ApiError(UserError):
    """The API server answered with an error."""

    def __init__(
        self, message: str, code: int, reason: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or {}


class NotFound(ApiError):
    """The API server says that the object isn't there."""


class Conflict(ApiError):
    """Another field manager owns a field, or the object exists already."""


class NoSuchKind(UserError):
    """The API server doesn't serve this apiVersion and kind."""


class NotCovered(UserError):
    """The official plugin can do it and this one can't."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} is not covered by {NAME}. Install the official plugin "
            "(`pulumi plugin install resource kubernetes`) or leave it out."
        )


class NotReady(UserError):
    """The object stands but didn't become ready; the next run goes on waiting.

    Attributes:
        reasons: what is wrong, the summary first.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = list(reasons)
