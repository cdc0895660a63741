"""Whether an agent is ready, and the small server that kubelet asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PATIENCE_SECONDS = 15 * 60.0  # Azure's agents become unready after so long without their service
# Any pod can ask, too: so many at once, and none that is silent for longer.
_AT_ONCE = 32
_SILENT_SECONDS = 5.0


class Health:
    """What an agent last achieved."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._succeeded: float | None = None
        self._problem = "has done nothing yet"

    def succeeded(self) -> None:
        """Say that the agent did its work."""
        with self._lock:
            self._succeeded, self._problem = self._clock(), ""

    def failed(self, problem: str) -> None:
        """Say that the agent couldn't do its work: it stays ready for a while, if it was."""
        with self._lock:
            self._problem = problem

    def state(self) -> tuple[bool, str]:
        """Return whether the agent is ready, and what troubles it."""
        with self._lock:
            if self._succeeded is None:
                return False, self._problem
            return not self._problem or self._clock() - self._succeeded < _PATIENCE_SECONDS, self._problem


def serve(health: Health, port: int) -> ThreadingHTTPServer:
    """Answer kubelet in the background."""

    class Handler(BaseHTTPRequestHandler):
        timeout = _SILENT_SECONDS

        def do_GET(self) -> None:
            ready, problem = health.state()
            status = HTTPStatus.OK if ready or self.path == "/livez" else HTTPStatus.SERVICE_UNAVAILABLE
            text = (problem or "ok").encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing of each question."""

    # Kubelet asks at the pod's address; the API it protects says only how the agent is.
    server = _Server(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Server(ThreadingHTTPServer):
    """A thread for each question, and so many at once; more are turned away."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._free = threading.Semaphore(_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin to answer."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()
