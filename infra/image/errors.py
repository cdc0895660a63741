"""How a failed build says so."""

from __future__ import annotations

from infra.errors import UserError


class ImageError(UserError):
    """A node image or its bundle can't be built or read.

    Attributes:
        message: What failed, and the value found.
        remedy: What to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}\n{remedy}")
        self.message = message
        self.remedy = remedy


class Stopped(ImageError):
    """A part of a build was ended because another part failed; that one's error is what matters."""
