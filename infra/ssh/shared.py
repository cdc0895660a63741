"""A connection that many callers share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

_Connection = TypeVar("_Connection")


class Shared(Generic[_Connection]):
    """A connection, opened by whoever needs it first, and again when it broke. Thread-safe.

    Who comes while it is being opened gets what comes of that: a host that is off keeps nobody waiting twice.
    """

    def __init__(
        self,
        open: Callable[[], _Connection],
        stands: Callable[[_Connection], bool],
        close: Callable[[_Connection], None],
    ) -> None:
        """Say how it is opened, how one knows that it still stands, and how one that broke is put away."""
        self._open, self._stands, self._close = open, stands, close
        self._lock = threading.Lock()
        self._attempt: Future[_Connection] | None = None

    def get(self) -> _Connection:
        """Return the connection; what opening it raises is raised to everybody who waited for it."""
        with self._lock:
            last = attempt = self._attempt
            if attempt is None or (attempt.done() and not self._holds(attempt)):
                attempt = self._attempt = Future()
        if attempt is not last:
            self._put_away(last)
            try:
                attempt.set_result(self._open())
            except BaseException as error:
                attempt.set_exception(error)
                raise
        return attempt.result()

    def forget(self) -> None:
        """Put it away; the next use opens another."""
        with self._lock:
            attempt, self._attempt = self._attempt, None
        self._put_away(attempt)

    def _holds(self, attempt: Future[_Connection]) -> bool:
        return attempt.exception() is None and self._stands(attempt.result())

    def _put_away(self, attempt: Future[_Connection] | None) -> None:
        if attempt is not None and attempt.exception() is None:
            self._close(attempt.result())
