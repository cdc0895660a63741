"""Clients of a cluster's API, to measure what they see.

Each request has a connection of its own; watches stay open.

What the API acknowledged to have written is looked for afterwards: none of it may be lost. A watch has to tell of
all of it, whatever becomes of its connection. All of it is in a namespace of its own.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import yaml

from infra.errors import UserError
from infra.kubernetes.api import ClusterError, ClusterUnreachable
from infra.kubernetes.memory_file import MemoryFile

NAMESPACE: Final = "azlocal-load"
"""Where writers write: made for them, and nothing else is in it."""
_MARK: Final = {"app.kubernetes.io/managed-by": "azlocal"}
_CONFIG_MAPS: Final = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_ALIVE_SECONDS: Final = 10.0
"""How long a client waits for anything: kubectl and client-go wait longer."""
_LISTENS_SECONDS: Final = 45.0
"""How long a watch hears nothing before it connects again: client-go notices by then that nobody is there."""
_SAID_AGAIN: Final = 429
"""An API server that ends asks clients to come again; client-go does that by itself, and so does this."""
_GONE: Final = 410
"""What a watch is told that goes on from where the API server remembers nothing of; client-go lists then."""
_MOST_AT_ONCE: Final = 400
_NAMESPACE_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Request:
    """A request that a client made.

    Attributes:
        began: Seconds of the monotonic clock.
        ended: As above.
        fault: Why it failed; empty where it didn't.
        writes: Whether it was a write; else a read.
    """

    began: float
    ended: float
    fault: str
    writes: bool = False


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
        undone: Of what was acknowledged, what went with a restore, as it had to.
    """

    requests: list[Request] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    watches: list[Watch] = field(default_factory=list)
    undone: set[str] = field(default_factory=set)

    @property
    def failed(self) -> list[Request]:
        """Return the requests that failed."""
        return [request for request in self.requests if request.fault]

    @property
    def gap(self) -> float:
        """Return the longest time in seconds in which no request ended well."""
        return _longest(self._answered())

    @property
    def slowest(self) -> float:
        """Return the longest time in seconds that a request took which ended well: for some, the gap is a wait."""
        answered = (request for request in self.requests if not request.fault)
        return max((request.ended - request.began for request in answered), default=float("inf"))

    def gap_of(self, *, writes: bool) -> float:
        """Return the longest time in seconds in which no write, or no read, ended well."""
        return _longest(self._answered(writes))

    def absences(self) -> list[tuple[float, float]]:
        """Return when reads failed: each time from the last one before that was answered to the first one after.

        A pause in which none failed is only slow: on a busy machine, that of the clients, too.
        """
        failed = sorted(request.began for request in self.failed if not request.writes)
        pauses = pairwise(self._answered(False))
        return [(since, until) for since, until in pauses if _has_between(failed, since, until)]

    def _answered(self, writes: bool | None = None) -> list[float]:
        """Return when requests ended well: of one sort, or all."""
        return sorted(
            request.ended
            for request in self.requests
            if not request.fault and (writes is None or request.writes is writes)
        )


class Client:
    """An administrator's way to a cluster."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.safe_load(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        server = urlsplit(cluster["server"])
        if server.hostname is None:
            raise UserError("the kubeconfig can't be used: its server has no host")
        self._host, self._port = server.hostname, server.port
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        parts = (user["client-certificate-data"], user["client-key-data"])
        with closing(MemoryFile("user.pem", b"".join(map(base64.b64decode, parts)))) as file:
            self._context.load_cert_chain(file.path)

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

    def objects(self, **query: str) -> Any:
        """Return the objects of this load as the API lists them.

        Raises:
            ClusterError: It refuses, or doesn't answer.
        """
        return self.answer("GET", f"{_CONFIG_MAPS}?{urlencode(query)}")

    def answer(self, method: str, path: str, body: Any = None, also: Container[int] = ()) -> Any:
        """Return what the API says to a request that has to succeed.

        Args:
            method: HTTP's.
            path: On the API server.
            body: What is sent as JSON.
            also: Statuses that are as good as success.

        Raises:
            ClusterError: It refuses, or doesn't answer.
        """
        try:
            status, answer = self.send(method, path, body)
        except (OSError, HTTPException) as error:
            raise ClusterUnreachable(f"{method} {path}: the API server doesn't answer: {error}") from error
        if status >= 300 and status not in also:
            raise ClusterError(f"{method} {path}: {status} {answer.get('message', '')}")
        return answer

    def make_namespace(self) -> None:
        """Make the namespace of this load, in place of one that an earlier load left.

        Raises:
            UserError: There is one that azlocal hasn't made, or the old one doesn't go.
            ClusterError: The API server refuses, or doesn't answer.
        """
        deadline = time.monotonic() + _NAMESPACE_SECONDS
        while True:
            try:
                if not self._is_left():
                    self._write_namespace()
                    return
                fault = f"namespace {NAMESPACE} of an earlier load doesn't go: see what holds it"
            except ClusterUnreachable as error:  # a busy one drops a connection now and then
                fault = str(error)
            if time.monotonic() > deadline:
                raise UserError(fault)
            time.sleep(0.5)

    def keep_namespace(self) -> None:
        """Make the namespace of this load where it isn't there, as after a restore.

        Raises:
            ClusterError: The API server refuses, or doesn't answer.
        """
        self._write_namespace(also=(409,))

    def _write_namespace(self, also: Container[int] = ()) -> None:
        self.answer("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE, "labels": _MARK}}, also)

    def _is_left(self) -> bool:
        """Return whether the namespace of an earlier load is there, which is told to go.

        Raises:
            UserError: It isn't azlocal's.
        """
        labels = self._labels_of_namespace()
        if labels and not _MARK.items() <= labels.items():
            raise UserError(
                f"the cluster has a namespace {NAMESPACE} that azlocal hasn't made, and what is in it isn't "
                "touched: remove it, or give it another name"
            )
        if labels:
            self.remove_namespace()
        return bool(labels)

    def remove_namespace(self) -> None:
        """Have the namespace go with all that was written; the cluster does that in its own time."""
        self.answer("DELETE", f"/api/v1/namespaces/{NAMESPACE}", also=(404, 409))

    def _labels_of_namespace(self) -> dict[str, str]:
        """Return the labels of the load's namespace, each of which has the cluster's own; none: there is none."""
        answer = self.answer("GET", f"/api/v1/namespaces/{NAMESPACE}", also=(404,))
        metadata = answer.get("metadata") or {}
        return dict(metadata.get("labels") or {}) if metadata.get("name") == NAMESPACE else {}

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
        since = self._client.objects(limit="1")["metadata"]["resourceVersion"]
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

    def forget(self, written: set[str]) -> None:
        """Take what was written before a restore, and isn't there any more, for undone: nobody misses it.

        Raises:
            ClusterError: The API refuses, or doesn't answer.
        """
        self.load.undone = written - self._names(self._listed())

    def lost(self) -> set[str]:
        """Return what the API acknowledged, and doesn't have."""
        return self.load.acknowledged - self.load.undone - self._names(self._listed())

    def untold(self) -> set[str]:
        """Return what the API acknowledged, and a watch didn't tell of."""
        there = self.load.acknowledged - self.load.undone
        return {name for watch in self.load.watches for name in there - watch.names}

    def _listed(self) -> Any:
        return self._client.objects(labelSelector=f"run={self._run}")

    @staticmethod
    def _names(listed: Any) -> set[str]:
        return {item["metadata"]["name"] for item in listed["items"]}

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
            self.load.requests.append(Request(began, time.monotonic(), fault, writes=method == "POST"))
        return not fault

    def _keep_watching(self, since: str, watch: Watch) -> None:
        while not self._is_told():
            try:
                for event in self._client.watch(since):
                    if event["type"] == "ERROR" and event["object"].get("code") == _GONE:
                        since = self._list_for(watch)
                        break
                    since = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] == "ADDED":
                        watch.tell(event["object"]["metadata"]["name"], time.monotonic())
            except (OSError, HTTPException, ClusterError, KeyError, ValueError):
                time.sleep(0.2)  # as client-go does, it goes on from where it was

    def _list_for(self, watch: Watch) -> str:
        """Have a watch tell what it missed, from a list; return where it goes on from."""
        listed = self._listed()
        for name in sorted(self._names(listed) - watch.names):
            watch.tell(name, time.monotonic())
        return str(listed["metadata"]["resourceVersion"])

    def _wait_for_watches(self) -> None:
        deadline = time.monotonic() + 2 * _LISTENS_SECONDS
        while not self._is_told() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _is_told(self) -> bool:
        return self._stop.is_set() and not self.untold()


def _has_between(moments: Sequence[float], since: float, until: float) -> bool:
    """Return whether one of some moments, which are in order, is between two."""
    return bisect_left(moments, since) < bisect_left(moments, until)


def _longest(moments: Iterable[float]) -> float:
    """Return the longest time between two moments that follow each other, which are in order."""
    return max((later - sooner for sooner, later in pairwise(moments)), default=float("inf"))
