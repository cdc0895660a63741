"""JSON over HTTPS, with the standard library."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from .errors import AgentError, Refused

_SECONDS = 15.0
_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """A server's answer: its headers in lower case, and its JSON."""

    headers: Mapping[str, str]
    content: Any


class Wire:
    """Talks to servers that one trust store knows."""

    def __init__(self, context: ssl.SSLContext, *, proxied: bool = True) -> None:
        """Keep the trust store; `proxied`: go through the proxy that the environment names, if it names one."""
        handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
        if not proxied:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def send(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Send a request and return the answer.

        Raises:
            Refused: the server's answer is an error.
            AgentError: there is no answer, or none that can be read.
        """
        data = None if body is None else json.dumps(body).encode()
        every = {"Accept": "application/json", **(headers or {})}
        if data is not None:
            every["Content-Type"] = content_type
        # The address comes from the chart's values, whose schema is https; no file or ftp address can reach here.
        request = urllib.request.Request(url, data, every, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                return Answer(_lower(answer.headers), _decoded(answer.read(_LIMIT), url))
        except urllib.error.HTTPError as error:
            with error:
                refused = _refusal(method, url, error.code, error.read(_LIMIT))
                refused.headers = _lower(error.headers)
            raise refused from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise AgentError(f"{method} {_bare(url)}: no answer: {reason}") from error


def trust(extra: Path | None) -> ssl.SSLContext:
    """Return what the system trusts, and the authorities of a file if it exists."""
    context = ssl.create_default_context()
    if extra is not None and extra.exists():
        context.load_verify_locations(cafile=extra)
    return context


def _lower(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in (headers or {}).items()}


def _decoded(data: bytes, url: str) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        raise AgentError(f"{_bare(url)} answers with what isn't JSON: {data[:80]!r}") from None


def _refusal(method: str, url: str, status: int, data: bytes) -> Refused:
    code, message = "", data[:500].decode(errors="replace").strip()
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    if isinstance(content, dict):
        error = content.get("error")
        if isinstance(error, dict):  # Azure's shape
            code, message = str(error.get("code", "")), str(error.get("message", ""))
        elif content.get("kind") == "Status":  # Kubernetes'
            code, message = str(content.get("reason", "")), str(content.get("message", ""))
    said = ": ".join(part for part in (code, message) if part)
    return Refused(f"{method} {_bare(url)}: {status} {said}", status, code)


def _bare(url: str) -> str:
    return url.partition("?")[0]
