"""How much of a request the emulator holds, whoever sends it: anybody on a cluster's network can reach it.

A body is counted as it arrives, before anybody has shown who they are; one that says that it is too long isn't
read. Loopback and the agents' address have room of their own each, so that nothing that a cluster sends keeps this
machine's own programs out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import Request as RawRequest

from infra.emulator.http import Refusal

# Azure Resource Manager's own limit.
BODY_BYTES: Final = 4 * 1024 * 1024
# Of a route whose caller shows who they are in the body, or not at all: forms, proofs, questions without a body.
OPEN_BODY_BYTES: Final = 64 * 1024
_HELD_BYTES: Final = 32 * 1024 * 1024
_SECONDS: Final = 30.0
_CLOSE: Final = {"Connection": "close"}  # what is left of the body is no next request


class Bodies:
    """The bodies of the requests that are being answered. For one event loop."""

    def __init__(self, most: int = _HELD_BYTES, seconds: float = _SECONDS) -> None:
        """Hold up to `most` bytes at each of the two addresses; a body has `seconds` to arrive."""
        self._most = most
        self._seconds = seconds
        self._held = {True: 0, False: 0}

    @asynccontextmanager
    async def of(self, raw: RawRequest, limit: int, *, on_loopback: bool) -> AsyncIterator[bytes]:
        """Hold a request's body while it is answered.

        Args:
            limit: Of this body, in bytes.

        Raises:
            Refusal: It is longer (413), doesn't arrive (408), or there is no room for it now (503). The connection
                ends then.
        """
        if int(raw.headers.get("content-length") or 0) > limit:
            raise _too_long(limit)
        content, held = bytearray(), 0
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    async for chunk in raw.stream():
                        held += self._take(len(chunk), on_loopback)
                        if held > limit:
                            raise _too_long(limit)
                        content += chunk
            except TimeoutError:
                message = f"The request's body didn't arrive within {self._seconds:.0f} seconds."
                raise Refusal(408, "RequestTimeout", message, headers=_CLOSE) from None
            yield bytes(content)
        finally:
            self._held[on_loopback] -= held

    def _take(self, count: int, on_loopback: bool) -> int:
        if self._held[on_loopback] + count > self._most:
            message = "Too much is being sent at once. Please try again later."
            raise Refusal(503, "ServerBusy", message, headers={**_CLOSE, "Retry-After": "1"})
        self._held[on_loopback] += count
        return count


def _too_long(limit: int) -> Refusal:
    message = f"The request content size exceeds the maximum size of {limit} bytes."
    return Refusal(413, "RequestContentTooLarge", message, headers=_CLOSE)
