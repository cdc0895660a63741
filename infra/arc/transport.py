"""HTTP as every Azure client of ours speaks it: verified TLS, retries that honour Retry-After, waits that end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from azure.core.pipeline import policies
from azure.core.pipeline.transport._requests_basic import RequestsTransport

from infra.arc.errors import NotInTime
from infra.errors import DeadlineExceeded
from infra.model.work import Work

# What goes wrong is raised, in our words; without a handler Python would print the clients' warnings as well.
logging.getLogger("azure").addHandler(logging.NullHandler())

_CONNECT_SECONDS: Final = 10
_ANSWER_SECONDS: Final = 60
_RETRIES: Final = 6
_RECONNECTS: Final = 2  # who can't be connected to now mostly can't in a minute either
_LONGEST_BACKOFF: Final = 15
_USER_AGENT: Final = "azlocal"

# The clients' own waits (between retries, and between polls of an operation) are the transport's, which hears
# nothing of what is waited for: each call puts its work here.
_WORK: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def applied(work: Work | None) -> Iterator[None]:
    """Bound every wait of Azure clients within, in this thread.

    Raises:
        NotInTime: The time is over.
    """
    token = _WORK.set(work)
    try:
        yield
    except DeadlineExceeded as error:
        raise NotInTime("timeout", str(error)) from error
    finally:
        _WORK.reset(token)


def current(seconds: float) -> Work:
    """Return the work of whoever calls within `applied`, for a request that may take so long at most."""
    return (_WORK.get() or Work()).within(seconds)


class Transport(RequestsTransport):
    """Requests, whose waits can be cancelled."""

    def sleep(self, duration: float) -> None:
        """Wait between two requests."""
        work = _WORK.get() or Work()
        work.check("waiting for Azure")
        work.wait(duration, "waiting for Azure")


def transport(ca_file: Path | None) -> Transport:
    """Return the way to Azure.

    Args:
        ca_file: Whose certificates are trusted, PEM; None: the public ones, or REQUESTS_CA_BUNDLE's.
    """
    return Transport(
        connection_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
        connection_verify=str(ca_file) if ca_file else True,
    )


def pipeline(authentication: Any | None) -> list[Any]:
    """Return what each request passes through.

    Without the policies that the clients bring otherwise: one registers resource providers unasked, others log.
    """
    retry = policies.RetryPolicy(
        retry_total=_RETRIES, retry_connect=_RECONNECTS, retry_backoff_max=_LONGEST_BACKOFF
    )
    return [
        policies.RequestIdPolicy(),
        policies.HeadersPolicy(),
        policies.UserAgentPolicy(base_user_agent=_USER_AGENT),
        policies.ProxyPolicy(),
        policies.ContentDecodePolicy(),
        policies.RedirectPolicy(),
        retry,
        *([authentication] if authentication is not None else []),
        policies.SensitiveHeaderCleanupPolicy(),
    ]
