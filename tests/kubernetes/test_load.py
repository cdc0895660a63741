"""What clients of an API count as failed, lost or silent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.errors import UserError
from infra.kubernetes.api import ClusterError
from infra.kubernetes.load import NAMESPACE, Client, Clients, Load, Request, Watch


def test_a_gap_is_the_longest_time_without_an_answer() -> None:
    ends = [(0.0, ""), (0.1, ""), (0.2, "refused"), (0.9, "refused"), (1.3, ""), (1.4, "")]
    load = Load([Request(end - 0.01, end, fault) for end, fault in ends])
    assert load.gap == pytest.approx(1.2)
    assert load.slowest == pytest.approx(0.01)
    assert len(load.failed) == 2
    assert Load().gap == float("inf"), "nothing was answered at all"


def test_what_was_acknowledged_and_is_not_there_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client.__new__(Client)
    monkeypatch.setattr(client, "send", lambda *_: (200, {"items": [{"metadata": {"name": "r-1"}}]}))
    clients = Clients(client, "r", 50, 2)
    clients.load.acknowledged |= {"r-1", "r-3"}
    clients.load.watches = [Watch({"r-1", "r-3"}), Watch({"r-3"})]
    assert clients.lost() == {"r-3"}
    assert clients.untold() == {"r-1"}


def test_what_was_written_before_a_restore_is_undone_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client.__new__(Client)
    monkeypatch.setattr(client, "send", lambda *_: (200, {"items": [{"metadata": {"name": "r-1"}}]}))
    clients = Clients(client, "r", 50, 1)
    clients.load.acknowledged |= {"r-1", "r-3", "r-5"}
    clients.load.watches = [Watch({"r-1"})]
    clients.forget({"r-1", "r-3"})
    assert clients.load.undone == {"r-3"}, "the snapshot has the other"
    assert clients.lost() == {"r-5"}, "it was written afterwards"
    assert clients.untold() == {"r-5"}


def test_a_watch_is_silent_between_two_things_that_it_tells() -> None:
    watch = Watch()
    for name, now in (("r-1", 100.0), ("r-2", 100.1), ("r-3", 103.1), ("r-4", 103.2)):
        watch.tell(name, now)
    assert watch.silence == pytest.approx(3.0)
    assert watch.names == {"r-1", "r-2", "r-3", "r-4"}


def test_reads_and_writes_have_gaps_of_their_own() -> None:
    reads = [Request(at, at, "") for at in (0.0, 1.0, 2.0)]
    writes = [Request(at, at, "", writes=True) for at in (0.0, 3.0)]
    load = Load([*writes, *reads])
    assert (load.gap_of(writes=False), load.gap_of(writes=True)) == (1.0, 3.0)
    assert load.absences() == [], "none failed"
    load.requests += [Request(0.5, 0.5, "refused", writes=True), Request(1.5, 12.0, "TimeoutError")]
    assert load.absences() == [(1.0, 2.0)], "a read that was begun then failed, if only later"
    assert Load(reads).gap_of(writes=True) == float("inf")


class Scripted(Client):
    """A client whose API answers as the test has it, and which notes what it is asked."""

    def __init__(self, *answers: tuple[int, Any], events: tuple[dict[str, Any], ...] = ()) -> None:
        self.answers = list(answers)
        self.events = [list(events)]
        self.requests: list[tuple[str, str]] = []

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        self.requests.append((method, path))
        return self.answers.pop(0)

    def watch(self, since: str) -> Iterator[Any]:
        self.requests.append(("WATCH", since))
        yield from self.events.pop(0) if self.events else ()


def test_a_watch_that_the_server_remembers_nothing_for_goes_on_from_a_list() -> None:
    listed = {"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": name}} for name in ("1", "2")]}
    client = Scripted((200, listed), events=({"type": "ERROR", "object": {"code": 410}},))
    clients, watch = Clients(client, "r", 20, 1), Watch({"1"})
    clients.load.watches, clients.load.acknowledged = [watch], {"1", "2"}
    clients._stop.set()
    clients._keep_watching("4", watch)
    assert watch.names == {"1", "2"}
    assert client.requests[0] == ("WATCH", "4")
    assert clients.untold() == set()


def namespace(**labels: str) -> tuple[int, Any]:
    return 200, {"metadata": {"name": NAMESPACE, "labels": {"kubernetes.io/metadata.name": NAMESPACE, **labels}}}


def test_the_namespace_of_an_earlier_load_is_replaced() -> None:
    ours = namespace(**{"app.kubernetes.io/managed-by": "azlocal"})
    client = Scripted(ours, (200, {}), (404, {}), (201, {}))
    client.make_namespace()
    path = f"/api/v1/namespaces/{NAMESPACE}"
    assert client.requests == [("GET", path), ("DELETE", path), ("GET", path), ("POST", "/api/v1/namespaces")]


def test_a_namespace_that_somebody_else_made_is_left_alone() -> None:
    client = Scripted(namespace())
    with pytest.raises(UserError, match="that azlocal hasn't made"):
        client.make_namespace()
    assert [method for method, _ in client.requests] == ["GET"]


def test_the_namespace_of_a_load_is_made_again_where_it_is_gone() -> None:
    client = Scripted((201, {}), (409, {}), (500, {}))
    client.keep_namespace()
    client.keep_namespace()
    with pytest.raises(ClusterError):
        client.keep_namespace()
    assert client.requests == [("POST", "/api/v1/namespaces")] * 3
