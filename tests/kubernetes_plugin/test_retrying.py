"""Requests and what each failure means, against a small server of the test's own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.kubernetes.api import ApiError, ClusterUnreachable, Conflict, NotFound
from infra.kubernetes.cluster import Cluster, NoSuchKind
from infra.kubernetes.kinds import KindId, Ref
from infra.kubernetes_plugin import retrying
from infra.kubernetes_plugin.retrying import RetryingApi
from tests.ports import free_port
from tests.waiting import takes_less_than

Answer = tuple[int, dict[str, Any]]


class Server(ThreadingHTTPServer):
    """Answers from a script: by method and path, else the last answer again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.seen: list[tuple[str, Any]] = []

    @property
    def config(self) -> dict[str, Any]:
        return config(self.server_port)


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        key = f"{self.command} {self.path}"
        self.server.seen.append((key, json.loads(body) if body else None))
        script = self.server.answers.get(key) or [(404, {"message": f"nothing at {key}"})]
        status, content = script.pop(0) if len(script) > 1 else script[0]
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server looks for these names

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def config(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_answers_and_errors(server: Server) -> None:
    server.answers = {
        "GET /ok": [(200, {"a": 1})],
        "GET /conflict": [(409, {"message": "taken", "reason": "Conflict", "details": {"causes": []}})],
        "GET /refused": [(422, {"message": "no such field"})],
        "GET /busy": [(429, {"message": "later"}), (503, {}), (200, {"b": 2})],
    }
    client = RetryingApi(server.config, 5)
    assert client.get("/ok") == {"a": 1}
    with pytest.raises(Conflict, match="taken"):
        client.get("/conflict")
    with pytest.raises(ApiError, match=rf"no such field \(GET {client.server}/refused\)"):
        client.get("/refused")
    with pytest.raises(NotFound):
        client.get("/nowhere")
    assert client.find("/nowhere") is None
    assert client.get("/busy") == {"b": 2}


def test_a_dead_server_is_an_answer_for_all_at_once() -> None:
    def ask() -> None:
        client = RetryingApi(config(free_port()), 5)
        for _ in range(3):
            with pytest.raises(ClusterUnreachable, match="doesn't answer: Connection refused"):
                client.get("/version")

    assert takes_less_than(2, ask, attempts=3)


def test_a_server_that_has_answered_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr(retrying, "_DEAD_SECONDS", 0.0)
    server.answers = {"GET /version": [(200, {"v": 1})]}
    client = RetryingApi(server.config, 5)
    client.get("/version")
    there = client.server
    client.server = f"http://127.0.0.1:{free_port()}"  # its address moves
    threading.Timer(1, lambda: setattr(client, "server", there)).start()
    begun = time.monotonic()
    client.get("/version")
    assert time.monotonic() - begun >= 0.9
    client.server = f"http://127.0.0.1:{free_port()}"
    begun = time.monotonic()
    with pytest.raises(ClusterUnreachable):
        client.get("/version")
    assert 2 < time.monotonic() - begun < 8

    def probe() -> None:
        with pytest.raises(ClusterUnreachable):
            client.get("/version")

    assert takes_less_than(2, probe), "once given up, it isn't waited for again"


def test_kinds_are_asked_for_once_and_again_when_new(server: Server) -> None:
    thing = {"kind": "Thing", "name": "things", "namespaced": True}
    status = {"kind": "Thing", "name": "things/status", "namespaced": True}
    server.answers = {
        "GET /apis/e.com/v1": [(404, {}), (200, {"resources": [status, thing]})],
        "GET /apis/e.com/v1/namespaces/n/things/a": [(200, {"kind": "Thing"})],
    }
    cluster = Cluster(RetryingApi(server.config, 5))
    ref = Ref(KindId("e.com/v1", "Thing"), "n", "a")
    with pytest.raises(NoSuchKind, match=r"doesn't serve e\.com/v1/Thing"):
        cluster.get(ref)
    assert cluster.get(ref)["kind"] == "Thing"
    assert cluster.get(ref)["kind"] == "Thing"
    assert [key for key, _ in server.seen].count("GET /apis/e.com/v1") == 2
    assert cluster.find(ref._replace(name="b")) is None
    assert cluster.find(Ref(KindId("e.com/v1", "Other"), None, "b")) is None


def test_apply_and_delete_say_what_they_mean(server: Server) -> None:
    server.answers = {
        "GET /api/v1": [(200, {"resources": [{"kind": "ConfigMap", "name": "configmaps", "namespaced": True}]})],
        "PATCH /api/v1/namespaces/n/configmaps/a?fieldManager=me&force=false&dryRun=All": [(200, {"x": 1})],
        "DELETE /api/v1/namespaces/n/configmaps/a": [(200, {})],
    }
    cluster = Cluster(RetryingApi(server.config, 5))
    ref = Ref(KindId("v1", "ConfigMap"), "n", "a")
    assert cluster.apply(ref, {"data": {}}, "me", force=False, dry_run=True) == {"x": 1}
    cluster.delete(ref, "Foreground", "the-uid")
    assert server.seen[1][1] == {"data": {}}
    assert server.seen[2][1]["preconditions"] == {"uid": "the-uid"}
    assert server.seen[2][1]["propagationPolicy"] == "Foreground"
