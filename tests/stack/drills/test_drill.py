"""A drill's order: nothing is broken that isn't written down, and what heals is what a user would run."""

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
from infra.stack.drills import drill, faults, healing, journal, scene
from infra.stack.drills.decision import DrillRefused, Node, Situation
from infra.stack.drills.health import Look
from infra.stack.drills.outcome import Outcome
from infra.stack.state import Stack
from tests.stack.drills.samples import BACKUP

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

    def forget(self, written: set[str]) -> None:
        self.load.undone = written

    def lost(self) -> set[str]:
        return set()

    untold = lost


class Made(Stack):
    """A stack that is there."""

    def exists(self) -> bool:
        return True


@pytest.fixture
def codes() -> list[int]:
    """How the commands that heal end; those that it says nothing of end well."""
    return []


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, codes: list[int]) -> list[str]:
    """Notes what is done, in order."""
    noted: list[str] = []

    class Client:
        def __init__(self, kubeconfig: str) -> None:
            noted.append(f"client of {kubeconfig}")

        def make_namespace(self) -> None:
            noted.append("namespace")

        def remove_namespace(self) -> None:
            noted.append("no namespace")

        def keep_namespace(self) -> None:
            noted.append("namespace again")

    @contextmanager
    def running(command: list[str], **_: object) -> Iterator[Any]:
        noted.append(" ".join(command[4:]))
        yield SimpleNamespace(exit_code=codes.pop(0) if codes else 0, signals=[])

    situation = Situation("lab", "a", (PLANE,), PLANE.name, backup=BACKUP)
    health = SimpleNamespace(look=lambda _since: Look(time.monotonic(), ready=True, lacks=()))
    standing = SimpleNamespace(situation=situation, kubeconfig="a", health=health, lab_hosts={})
    monkeypatch.setattr(drill, "Client", Client)
    monkeypatch.setattr(drill, "Clients", Clients)
    monkeypatch.setattr(healing, "running", running)
    monkeypatch.setattr(drill, "_BEFORE_SECONDS", 0.01)
    monkeypatch.setattr(drill, "_QUIET_SECONDS", 0.01)
    monkeypatch.setattr(scene, "find", lambda _stack, _cluster, *, backups: standing)
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
    assert "the drill ends early: the next `azlocal up lab` heals what it broke" in capfd.readouterr().err


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


RESTORE = f"restore lab a {BACKUP.name} --yes"


def lose_quorum(directory: Path) -> Outcome:
    return drill.run(Made("lab", directory, ""), "lose-quorum", hold=0, yes=True)


def test_lost_quorum_is_said_by_up_and_healed_by_the_restore_and_another_up(
    calls: list[str], codes: list[int], tmp_path: Path
) -> None:
    codes += [1, 0, 0]
    outcome = lose_quorum(tmp_path)
    assert [call for call in calls if call != "namespace again"] == [
        *("client of a", "namespace", "broken", "up lab", RESTORE, "up lab", "no namespace"),
    ]
    assert RESTORE in calls[: calls.index("namespace again") + 2], "as soon as the API takes writes again"
    assert outcome.ok
    assert outcome.undone == 1


@pytest.mark.parametrize(
    ("ends", "runs", "fault"),
    [
        ([0], ["up lab"], "didn't say that quorum is lost"),
        ([1, 3], ["up lab", RESTORE], "`azlocal restore` ended with 3"),
        ([1, 0, 4], ["up lab", RESTORE, "up lab"], "`azlocal up` ended with 4"),
    ],
)
def test_what_does_not_heal_lost_quorum_is_told(
    calls: list[str], codes: list[int], tmp_path: Path, ends: list[int], runs: list[str], fault: str
) -> None:
    codes += ends
    outcome = lose_quorum(tmp_path)
    assert [call for call in calls if call.startswith(("up", "restore"))] == runs
    assert not outcome.ok
    assert outcome.exit_code
    assert fault in next(iter(outcome.faults()))
