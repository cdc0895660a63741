"""A drill's order: nothing is broken that isn't written down, and nothing is healed but by `azlocal up`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import UserError
from infra.kubernetes.load import Load, Request
from infra.stack.drills import drill, faults, journal, scene
from infra.stack.drills.decision import DrillRefused, Node, Situation
from infra.stack.drills.health import Look
from infra.stack.state import Stack

PLANE = Node("lab-a-cp-0", "a", "controlPlane", "node1")


class Clients:
    """Clients whose every request is answered, unless the test says why not."""

    fault = ""

    def __init__(self, *_: object) -> None:
        self.load = Load(acknowledged={"1"})

    @contextmanager
    def working(self) -> Iterator[Load]:
        self.note()
        yield self.load
        self.note()

    def note(self) -> None:
        now = time.monotonic()
        self.load.requests += [Request(now, now, self.fault), Request(now, now, self.fault, writes=True)]

    def lost(self) -> set[str]:
        return set()

    untold = lost


class Made(Stack):
    """A stack that is there."""

    def exists(self) -> bool:
        return True


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes what is done, in order."""
    noted: list[str] = []

    class Client:
        def __init__(self, kubeconfig: str) -> None:
            noted.append(f"client of {kubeconfig}")

        def make_namespace(self) -> None:
            noted.append("namespace")

        def remove_namespace(self) -> None:
            noted.append("no namespace")

    @contextmanager
    def running(command: list[str], **_: object) -> Iterator[Any]:
        noted.append(" ".join(command[-2:]))
        yield SimpleNamespace(exit_code=0, signals=[])

    situation = Situation("lab", "a", (PLANE,), PLANE.name)
    health = SimpleNamespace(look=lambda _since: Look(time.monotonic(), ready=True, lacks=()))
    standing = SimpleNamespace(situation=situation, kubeconfig="a", health=health, lab_hosts={})
    monkeypatch.setattr(drill, "Client", Client)
    monkeypatch.setattr(drill, "Clients", Clients)
    monkeypatch.setattr(drill, "running", running)
    monkeypatch.setattr(drill, "_BEFORE_SECONDS", 0.01)
    monkeypatch.setattr(drill, "_QUIET_SECONDS", 0.01)
    monkeypatch.setattr(scene, "find", lambda _stack, _cluster: standing)
    monkeypatch.setattr(faults, "carry_out", lambda *_: noted.append("broken"))
    return noted


def test_what_is_broken_is_written_down_before_and_healed_by_up(
    calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Made("lab", tmp_path, "")
    opened: list[object] = []

    def carry_out(*_: object) -> None:
        opened.append(journal.find(tmp_path, "lab"))
        calls.append("broken")

    monkeypatch.setattr(faults, "carry_out", carry_out)
    outcome = drill.run(stack, "kill-api-server", hold=0.05, yes=True)
    assert calls == ["client of a", "namespace", "broken", "up lab", "no namespace"]
    assert opened == [journal.OpenDrill("kill-api-server")]
    assert outcome.ok
    # `up`, which is another process, takes it away.
    with pytest.raises(UserError, match="no `up` has healed it yet: first `azlocal up lab`"):
        drill.run(stack, "kill-api-server", yes=True)


def test_what_could_not_be_broken_completely_is_left_to_the_next_up(
    calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def carry_out(*_: object) -> None:
        raise UserError("half of it")

    monkeypatch.setattr(faults, "carry_out", carry_out)
    with pytest.raises(UserError, match="half of it"):
        drill.run(Made("lab", tmp_path, ""), "expire-certificates", yes=True)
    assert journal.find(tmp_path, "lab") is not None
    assert calls[-1] == "no namespace"
    assert "the drill ends early: `azlocal up lab` heals what it broke" in capfd.readouterr().err


def test_nothing_is_broken_that_is_refused_or_not_meant_or_whose_clients_fail_already(
    calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Made("lab", tmp_path, "")
    with pytest.raises(DrillRefused):
        drill.run(stack, "lose-control-plane", yes=True)
    with pytest.raises(UserError, match="add --yes"):
        drill.run(stack, "kill-api-server")
    assert calls == []
    monkeypatch.setattr(Clients, "fault", "503 no")
    with pytest.raises(UserError, match="requests fail before anything is broken: 503 no"):
        drill.run(stack, "kill-api-server", yes=True)
    assert "broken" not in calls
    assert calls[-1] == "no namespace"
    assert journal.find(tmp_path, "lab") is None
