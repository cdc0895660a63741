"""What this plugin can't do, as the user should read it."""

from __future__ import annotations

from typing import Final

from infra.errors import UserError

NAME: Final = "azlocal's stand-in for the kubernetes plugin"


class NotCovered(UserError):
    """The official plugin can do it and this one can't."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} is not covered by {NAME}. Install the official plugin "
            "(`pulumi plugin install resource kubernetes`) or leave it out."
        )
