"""Requests and answers as the emulator's handlers see them: plain data in, plain data out.

A handler is a plain function `(World, Request) -> Answer`, or raises `Refusal`. It runs on the server's one event
loop inside one transaction of the store: it never meets another request halfway, a kill leaves all of it or
nothing, and it must not block (a few milliseconds at most).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

JSON = dict[str, Any]

# No body of Azure's is half as deep, and every level costs one of the interpreter's where a body is walked.
_DEEPEST: Final = 64
_TOO_DEEP: Final = f"it has more than {_DEEPEST} levels"


class Refusal(Exception):
    """An answer that is an error, in the shape that Azure Resource Manager and its providers share."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        """Return what the client gets."""
        error: JSON = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        return Answer(self.status, {"error": error}, self.headers)


@dataclass(frozen=True)
class Answer:
    """What a client gets.

    Attributes:
        body: sent as JSON; bytes are sent as they are (name their `content-type`); None: no body.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What a client asks.

    Attributes:
        path: decoded, in the client's spelling.
        path_parameters: what the route's pattern names.
        query: names in lower case, since Azure's own clients spell `api-version` in several ways.
        headers: names in lower case.
        base_url: `https://host:port` as the client named this server: URLs handed out begin with it.
        on_loopback: whether it came in at 127.0.0.1, so from a process of this machine.
    """

    method: str
    path: str
    path_parameters: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    on_loopback: bool

    def json(self) -> JSON:
        """Return the body, which has to be a JSON object.

        Raises:
            Refusal: it isn't one (400, as ARM words it).
        """
        if not self.body.strip():
            raise Refusal(
                400, "MissingRequestBody", "The request body is missing or empty; a JSON object is required."
            )
        try:
            content = json.loads(self.body)
        except ValueError as error:
            raise _not_deserialized(str(error)) from None
        except RecursionError:
            raise _not_deserialized(_TOO_DEEP) from None
        if not isinstance(content, dict):
            raise _not_deserialized("a JSON object is required")
        if not _is_within(content, _DEEPEST):
            raise _not_deserialized(_TOO_DEEP)
        return content

    def flag(self, name: str) -> bool:
        """Return a query parameter that is true or absent, such as `forceDelete`."""
        return self.query.get(name.lower(), "").lower() == "true"


def _not_deserialized(reason: str) -> Refusal:
    return Refusal(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: '{reason}'.",
    )


def _is_within(content: Any, levels: int) -> bool:
    """Return whether JSON has no more than so many levels of arrays and objects."""
    level = [content]
    for _ in range(levels):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
