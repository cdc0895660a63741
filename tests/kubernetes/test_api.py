"""A cluster's API: what stays of a connection, and what its failures say."""

from __future__ import annotations

import gc
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from infra.errors import UserError
from infra.kubernetes.api import ApiError, ClusterApi, ClusterUnreachable
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki


def test_no_key_is_ever_written_to_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = _open()
    api = ClusterApi(administrator_kubeconfig("a", "https://127.0.0.1:9", generate_pki().ca))
    with pytest.raises(ClusterUnreachable):
        api.get("/version")
    assert list(tmp_path.iterdir()) == []
    del api
    gc.collect()
    assert _open() <= before


def test_a_silent_server_is_told_with_the_innermost_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        api = ClusterApi(administrator_kubeconfig("a", url, generate_pki().ca), seconds=0.2)
        with pytest.raises(ClusterUnreachable, match=f"^the API server at {url} doesn't answer: timed out$"):
            api.get("/version")


class Ending(BaseHTTPRequestHandler):
    """An API server that ends the first connection as a request comes, and answers the next one."""

    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        """Answer from the second request on."""
        self.asked.append(self.command)
        if len(self.asked) > 1:
            self.succeed()
        else:
            self.fail()
        self.close_connection = True

    do_POST = do_GET  # noqa: N815 - http.server's name

    def succeed(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def fail(self) -> None:
        """Say nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Busy(Ending):
    """An API server that asks for patience once, as one does whose resource definition is made again."""

    later: ClassVar = {"Retry-After": "1"}

    def fail(self) -> None:
        """Refuse."""
        self.send_response(429)
        for name, value in self.later.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b'{"message": "storage is (re)initializing"}')


class Full(Busy):
    """An API server that refuses and doesn't say when it wouldn't, as where a disruption budget forbids."""

    later: ClassVar = {}


@contextmanager
def served_by(handler: type[Ending]) -> Iterator[ClusterApi]:
    handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield ClusterApi(administrator_kubeconfig("a", url, generate_pki().ca))
        server.shutdown()


@pytest.fixture
def ending() -> Iterator[ClusterApi]:
    with served_by(Ending) as api:
        yield api


def test_a_read_is_repeated_whose_connection_the_server_ended(ending: ClusterApi) -> None:
    assert ending.get("/version") == {}
    assert Ending.asked == ["GET", "GET"]


def test_a_write_is_not_for_it_may_have_been_done(ending: ClusterApi) -> None:
    with pytest.raises(ClusterUnreachable, match="Remote end closed connection without response"):
        ending.send("POST", "/api/v1/namespaces", {})
    assert Ending.asked == ["POST"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_the_server_wants_later_is_sent_again_then(method: str) -> None:
    with served_by(Busy) as api:
        assert api.send(method, "/apis/clusterconfig.azure.com/v1beta1/arccertificates") == "{}"
    assert Busy.asked == [method, method]


def test_a_refusal_without_a_time_is_an_answer() -> None:
    with served_by(Full) as api, pytest.raises(ApiError) as refused:
        api.get("/version")
    assert (refused.value.status, Full.asked) == (429, ["GET"])


def test_a_kubeconfig_that_cannot_be_used_is_told_as_such() -> None:
    with pytest.raises(UserError, match=r"the kubeconfig can't be used: .*current-context"):
        ClusterApi({"clusters": [], "users": [], "contexts": []}).get("/version")


def _open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
