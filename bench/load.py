"""Clients of a cluster's API: each request has a connection of its own, and watches stay open.

What the API acknowledged to have written is looked for afterwards: none of it may be lost. A watch has to tell of
all of it, whatever becomes of its connection.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

NAMESPACE: Final = "api-gap"
_CONFIG_MAPS: Final = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_ALIVE_SECONDS: Final = 10.0
"""How long a client waits for anything: kubectl and client-go wait longer."""
_LISTENS_SECONDS: Final = 45.0
"""How long a watch hears nothing before it connects again: client-go notices by then that nobody is there."""
_SAID_AGAIN: Final = 429
"""An API server that ends asks clients to come again; client-go does that by itself, and so does this."""
_MOST_AT_ONCE: Final = 400


@dataclass(frozen=True)
class Request:
    """A request that a client made.

    Attributes:
        began: Seconds of the monotonic clock.
        ended: As above.
        fault: Why it failed; empty where it didn't.
    """

    began: float
    ended: float
    fault: str


@dataclass
class Watch:
    """What a watch told, over all its connections.

    Attributes:
        names: Of the objects that it told of.
        silence: The longest time in seconds in which it told nothing.
    """

    names: set[str] = field(default_factory=set)
    silence: float = 0.0
    _heard: float | None = None

    def tell(self, name: str, now: float) -> None:
        """Note an object, at a time in seconds of the monotonic clock."""
        self.names.add(name)
        if self._heard is not None:
            self.silence = max(self.silence, now - self._heard)
        self._heard = now


@dataclass
class Load:
    """What clients saw in one run.

    Attributes:
        requests: Reads and writes.
        acknowledged: Names of what the API said that it has written.
        watches: What each watch told.
    """

    requests: list[Request] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    watches: list[Watch] = field(default_factory=list)

    @property
    def failed(self) -> list[Request]:
        """Return the requests that failed."""
        return [request for request in self.requests if request.fault]

    @property
    def gap(self) -> float:
        """Return the longest time in seconds in which no request ended well."""
        ends = sorted(request.ended for request in self.requests if not request.fault)
        return max((later - sooner for sooner, later in pairwise(ends)), default=float("inf"))

    @property
    def slowest(self) -> float:
        """Return the longest time in seconds that a request took which ended well: for some, the gap is a wait."""
        return max((one.ended - one.began for one in self.requests if not one.fault), default=float("inf"))


class Client:
    """An administrator's way to a cluster."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.safe_load(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        server = urlsplit(cluster["server"])
        assert server.hostname is not None
        assert server.port is not None
        self._host, self._port = server.hostname, server.port
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "user.pem"
            path.touch(mode=0o600)
            parts = (user["client-certificate-data"], user["client-key-data"])
            path.write_bytes(b"".join(base64.b64decode(part) for part in parts))
            self._context.load_cert_chain(path)

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request by a connection of its own; return the status and what it said.

        Raises:
            OSError: the connection can't be made, or ends.
            HTTPException: it ends in the middle of an answer.
        """
        while True:
            with self._connected() as connection:
                text = None if body is None else json.dumps(body)
                connection.request(method, path, text, {"Content-Type": "application/json", "Connection": "close"})
                response = connection.getresponse()
                content = response.read()
            if response.status != _SAID_AGAIN:
                return response.status, json.loads(content) if content.startswith(b"{") else {}
            time.sleep(float(response.headers.get("Retry-After", "1")))

    def watch(self, since: str) -> Iterator[Any]:
        """Yield what happens to the objects of this load, until the connection ends."""
        with self._connected(_LISTENS_SECONDS) as connection:
            connection.request("GET", f"{_CONFIG_MAPS}?watch=true&resourceVersion={since}")
            response = connection.getresponse()
            while line := response.readline():
                yield json.loads(line)

    @contextmanager
    def _connected(self, seconds: float = _ALIVE_SECONDS) -> Iterator[HTTPSConnection]:
        connection = HTTPSConnection(self._host, self._port, timeout=seconds, context=self._context)
        try:
            yield connection
        finally:
            connection.close()


class Clients:
    """Readers, writers and watchers of one run."""

    def __init__(self, client: Client, run: str, rate: int, watches: int) -> None:
        self._client, self._run, self._rate, self._watches = client, run, rate, watches
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.load = Load()

    @contextmanager
    def working(self) -> Iterator[Load]:
        """Send requests while the block runs; then end what is under way, and have watches tell the rest."""
        status, listed = self._client.send("GET", _CONFIG_MAPS + "?limit=1")
        assert status == 200, listed
        since = listed["metadata"]["resourceVersion"]
        self.load.watches = [Watch() for _ in range(self._watches)]
        watchers = [
            threading.Thread(target=self._keep_watching, args=(since, watch), daemon=True)
            for watch in self.load.watches
        ]
        sender = threading.Thread(target=self._send_all)
        for thread in (*watchers, sender):
            thread.start()
        try:
            yield self.load
        finally:
            self._stop.set()
            sender.join()
        self._wait_for_watches()

    def lost(self) -> set[str]:
        """Return what the API acknowledged, and doesn't have."""
        status, listed = self._client.send("GET", f"{_CONFIG_MAPS}?labelSelector=run={self._run}")
        assert status == 200, listed
        return self.load.acknowledged - {one["metadata"]["name"] for one in listed["items"]}

    def untold(self) -> set[str]:
        """Return what the API acknowledged, and a watch didn't tell of."""
        return {name for watch in self.load.watches for name in self.load.acknowledged - watch.names}

    def _send_all(self) -> None:
        """Send each request when it is due, whatever becomes of those before."""
        began = time.monotonic()
        with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
            number = 0
            while not self._stop.is_set():
                pool.submit(self._write if number % 2 else self._read, number)
                number += 1
                self._stop.wait(max(0.0, began + number / self._rate - time.monotonic()))

    def _read(self, number: int) -> None:
        self._sent("GET", "/api/v1/namespaces/kube-system", None)

    def _write(self, number: int) -> None:
        name = f"{self._run}-{number}"
        body = {"metadata": {"name": name, "labels": {"run": self._run}}, "data": {"number": str(number)}}
        if self._sent("POST", _CONFIG_MAPS, body):
            with self._lock:
                self.load.acknowledged.add(name)

    def _sent(self, method: str, path: str, body: Any) -> bool:
        began = time.monotonic()
        try:
            status, answer = self._client.send(method, path, body)
            fault = "" if status < 300 else f"{status} {answer.get('message', '')}"
        except (OSError, HTTPException) as error:
            fault = f"{type(error).__name__}: {error}"
        with self._lock:
            self.load.requests.append(Request(began, time.monotonic(), fault))
        return not fault

    def _keep_watching(self, since: str, watch: Watch) -> None:
        while not self._is_told():
            try:
                for event in self._client.watch(since):
                    since = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] == "ADDED":
                        watch.tell(event["object"]["metadata"]["name"], time.monotonic())
            except (OSError, HTTPException, KeyError, ValueError):
                time.sleep(0.2)  # as client-go does, it goes on from where it was

    def _wait_for_watches(self) -> None:
        deadline = time.monotonic() + 2 * _LISTENS_SECONDS
        while not self._is_told() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _is_told(self) -> bool:
        return self._stop.is_set() and not self.untold()
