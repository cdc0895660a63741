"""What anybody on a cluster's network can send: the emulator holds little of it, and goes on answering."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request as RawRequest

from infra.emulator import daemon, server
from infra.emulator.agent import health
from infra.emulator.doors import Bounded, Door
from infra.emulator.http import Refusal
from infra.emulator.limits import BODY_BYTES, OPEN_BODY_BYTES, Bodies
from infra.emulator.settings import Folder
from infra.emulator.store import Store
from tests.emulator.azure_sdk import Azure, flux_body
from tests.ports import free_port
from tests.waiting import eventually

HUGE = 400 * 1024 * 1024
TOKEN = "/nobody/oauth2/token"
ARM = "/subscriptions/s/resourcegroups/g?api-version=2021-04-01"


def connected(azure: Azure) -> HTTPSConnection:
    trusted = ssl.create_default_context(cafile=str(azure.emulator.ca_file))
    return HTTPSConnection("127.0.0.1", azure.emulator.port, timeout=10, context=trusted)


def begun(azure: Azure, path: str, *headers: tuple[str, str]) -> HTTPSConnection:
    """Send a POST's head, without anything that says who asks."""
    connection = connected(azure)
    connection.putrequest("POST", path)
    for header in headers:
        connection.putheader(*header)
    connection.endheaders()
    return connection


@pytest.mark.parametrize(
    "path",
    [
        *(TOKEN, ARM, "/his/challenge?id=x", "/his/type/ConnectedClusters/identity", "/_emulator/clock"),
        *("/dp/azure-arc-k8sagents/GetHelmSettings", "/dp/azure-arc-k8sagents/GetLatestHelmPackagePath"),
    ],
)
def test_a_body_that_says_to_be_too_long_is_refused_before_it_is_read(azure: Azure, path: str) -> None:
    with closing(begun(azure, path, ("Content-Length", str(HUGE)))) as connection:  # and nothing of it is sent
        answer = connection.getresponse()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert json.loads(answer.read())["error"]["code"] == "RequestContentTooLarge"


@pytest.mark.parametrize(("path", "limit"), [(TOKEN, OPEN_BODY_BYTES), (ARM, BODY_BYTES)])
def test_a_body_that_does_not_say_how_long_it_is_is_counted(azure: Azure, path: str, limit: int) -> None:
    with closing(begun(azure, path, ("Transfer-Encoding", "chunked"))) as connection:
        for _ in range(limit // 16384):
            connection.send(b"4000\r\n" + b"x" * 16384 + b"\r\n")
        connection.send(b"1\r\nx\r\n")
        assert connection.getresponse().status == 413


def test_a_body_within_the_limit_is_arms_to_answer(azure: Azure) -> None:
    status, said, _ = azure.ask("PUT", ARM, b"x" * BODY_BYTES)
    assert (status, said["error"]["code"]) == (401, "AuthenticationFailed")


def request_of(chunks: list[bytes], pause: float = 0.0, length: int | None = None) -> RawRequest:
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return RawRequest({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def test_what_is_held_at_once_has_a_bound_at_each_address() -> None:
    async def scenario() -> None:
        bodies = Bodies(most=100)
        async with bodies.of(request_of([b"x" * 60]), 80, on_loopback=False) as held:
            assert len(held) == 60
            with pytest.raises(Refusal) as caught:
                async with bodies.of(request_of([b"x" * 60]), 80, on_loopback=False):
                    pass
            assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
            async with bodies.of(request_of([b"x" * 60]), 80, on_loopback=True) as other:
                assert len(other) == 60
        for _ in range(3):  # whatever was refused or answered is held no more
            async with bodies.of(request_of([b"x" * 40, b"x" * 40]), 80, on_loopback=False) as held:
                assert len(held) == 80

    asyncio.run(scenario())


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def scenario() -> None:
        bodies = Bodies(seconds=0.05)
        with pytest.raises(Refusal) as caught:
            async with bodies.of(request_of([b"x"] * 10, pause=0.02), 80, on_loopback=False):
                pass
        assert caught.value.status == 408

    asyncio.run(scenario())


def test_a_door_lets_in_so_many_at_once() -> None:
    port = free_port()
    with Door("127.0.0.1", port, most=2) as door, contextlib.ExitStack() as clients:
        door.settimeout(5)

        def come() -> socket.socket:
            return clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))

        first, second = [(come(), door.accept()[0]) for _ in range(2)]
        third = come()
        with pytest.raises(BlockingIOError):
            door.accept()
        assert third.recv(1) == b""
        first[1].close()
        fourth = come(), door.accept()[0]
        fourth[1].close()
        second[1].close()


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server whose connections may do nothing for a fifth of a second."""
    monkeypatch.setattr(Bounded, "stall_seconds", 0.2)

    async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        del receive
        await asyncio.sleep(0.7 if scope["path"] == "/slow" else 0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(app, http=Bounded, ws="none", lifespan="off", log_config=None, timeout_keep_alive=60)
    running = uvicorn.Server(config)
    door = Door("127.0.0.1", free_port())
    thread = threading.Thread(target=running.run, args=([door],), daemon=True)
    thread.start()
    try:
        eventually(lambda: running.started, "the server has started", every=0.02)
        yield door.getsockname()
    finally:
        running.should_exit = True
        thread.join(10)
        door.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"])
def test_a_connection_on_which_nothing_gets_on_ends(bounded: tuple[str, int], sent: bytes) -> None:
    with socket.create_connection(bounded, timeout=5) as client, contextlib.suppress(ConnectionResetError):
        client.sendall(sent)
        while client.recv(1000):
            pass  # it ends by itself, within the time limit


def test_an_answer_may_take_its_time(bounded: tuple[str, int]) -> None:
    with socket.create_connection(bounded, timeout=5) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := client.recv(1000):
            answer += data
    assert answer.endswith(b"ok")


def test_the_emulator_listens_by_doors(tmp_path: Path) -> None:
    daemon.initialise(tmp_path / "emulator", agent_address="127.0.0.2")
    found = server.listen(Folder(tmp_path / "emulator").settings())
    try:
        assert [type(one) for one in found] == [Door, Door]
        assert [one.getsockname()[0] for one in found] == ["127.0.0.1", "127.0.0.2"]
    finally:
        for one in found:
            one.close()


def test_json_without_end_is_no_content(azure: Azure, group: str) -> None:
    path = f"{azure.cluster_id(group, 'a')}?api-version=2024-01-01"
    for body in (b'{"a":' * 100 + b"1" + b"}" * 100, b"[" * 100_000, b'{"a":' + b"[" * 90_000):
        status, said, _ = azure.arm("PUT", path, body)
        assert (status, said["error"]["code"]) == (400, "InvalidRequestContent")


def test_a_token_whose_header_is_without_end_is_no_token(azure: Azure) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 8000).decode().rstrip("=")
    status, said, _ = azure.ask("GET", ARM, Authorization=f"Bearer {header}.e30.x")
    assert (status, said["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_a_form_of_fields_without_end_is_refused_as_entra_does(azure: Azure) -> None:
    status, said, _ = azure.ask("POST", TOKEN, b"a=1&" * 1000)
    assert (status, said["error"], said["error_codes"]) == (400, "invalid_request", [9002313])


def test_a_clients_end_in_the_middle_of_a_body_is_no_fault(azure: Azure) -> None:
    log = Folder(azure.emulator.folder).log_file
    connection = begun(azure, TOKEN, ("Content-Length", "1000"))
    connection.send(b"x" * 10)
    connection.close()
    assert azure.ask("GET", "/")[0] == 200
    assert "Traceback" not in log.read_text()


def plans(store: Store, ask: Callable[[], object]) -> list[str]:
    """Return how SQLite carries out what is asked of a store."""
    asked: list[str] = []
    database: sqlite3.Connection = store._database
    database.set_trace_callback(asked.append)
    ask()
    database.set_trace_callback(None)
    return [row[3] for one in asked for row in database.execute(f"explain query plan {one}")]


def test_no_request_reads_all_that_there_is(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "state.sqlite")) as store:
        for ask in (
            lambda: store.operations("Creating"),
            lambda: store.under("/subscriptions/s/resourceGroups/g"),
            lambda: store.under("/subscriptions/s", "Microsoft.Kubernetes/connectedClusters"),
            lambda: store.records("/subscriptions/s", "certificate"),
            lambda: store.delete("/subscriptions/s/resourceGroups/g"),
        ):
            found = plans(store, ask)
            assert found
            assert not [one for one in found if one.startswith("SCAN")], found


def test_ids_below_an_id_are_those_after_its_slash(azure: Azure) -> None:
    groups = [azure.group(name) for name in ("below", "below0", "below.a", "Below-b")]
    for group in groups:
        azure.connect(group, "a")
    assert [one.name for one in azure.clusters.list_by_resource_group("BELOW")] == ["a"]
    azure.resources.resource_groups.begin_delete("below").wait()
    left = {one.id.split("/")[4] for one in azure.clusters.list_by_subscription()}
    assert {"below0", "below.a", "Below-b"} <= left
    assert "below" not in left


def test_a_duration_that_is_none_is_refused(azure: Azure, group: str) -> None:
    azure.connect(group, "a")
    cluster = azure.cluster_id(group, "a")
    path = f"{cluster}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations/x?api-version=2025-04-01"
    for duration in ("P99999999999D", "P" + "9" * 5000 + "D", "soon", "P", "PT"):
        status, said, _ = azure.arm("PUT", path, flux_body(reconciliationWaitDuration=duration))
        assert (status, said["error"]["code"]) == (400, "BadRequest"), duration
        assert "reconciliationWaitDuration" in said["error"]["message"]
    assert azure.arm("PUT", path, flux_body(reconciliationWaitDuration="PT5M"))[0] == 201


def test_nonces_that_an_older_azlocal_kept_are_forgotten(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "emulator")
    daemon.initialise(folder.path)
    with closing(Store(folder.state_file)) as store:
        store.put_record("/c", "nonce", "x", {"expires": "2026-11-29T00:00:00Z"})
        store.put_record("/c", "certificate", "y", {"expires": "2026-11-29T00:00:00Z"})
    with closing(server.make_world(folder, folder.settings()).store) as store:
        assert store.records("/c", "nonce") == {}
        assert list(store.records("/c", "certificate")) == ["y"]


def test_an_agents_health_is_told_while_others_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_AT_ONCE", 4)
    monkeypatch.setattr(health, "_SILENT_SECONDS", 0.3)
    state = health.Health()
    state.succeeded()
    port = free_port()
    serving = health.serve(state, port)
    with contextlib.ExitStack() as silent:
        for _ in range(12):
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert threading.active_count() < 12
        eventually(lambda: ready(port), "it answers once the silent ones are given up", 10)
    serving.shutdown()
    serving.server_close()


def ready(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as client:
        client.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.0 200")
    return False
