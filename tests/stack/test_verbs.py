"""What goes before and after a run of the engine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.kvm import daemon
from infra.stack import adoption, engine, settle, verbs
from infra.stack.auditing.run import Before
from infra.stack.drills import journal
from infra.stack.state import Stack


class Noting(Stack):
    """A stack that notes what is done with it."""

    def __init__(self, calls: list[str], *, stands: bool = True) -> None:
        super().__init__("dev", Path(), "")
        self.__dict__.update(calls=calls, stands=stands)

    def exists(self) -> bool:
        return bool(self.__dict__["stands"])

    def select(self) -> None:
        self.__dict__["calls"].append("select")

    def deployment(self) -> dict[str, Any]:
        return {}

    def outputs(self) -> dict[str, Any]:
        self.__dict__["calls"].append("outputs")
        return {}


class Noted(list[str]):
    """What was called; `left` is how the proof at the end of a `down` ends."""

    left = 0


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Noted:
    """Notes what is called, in order; the engine fails where its last option says so."""
    noted = Noted()

    def run(stack: str, verb: str, *options: str, load: object, standing: object) -> int:
        noted.append(f"engine {verb} {stack} {' '.join(options)}{' with what stands' if standing else ''}")
        return 3 if options[-1] == "--fail" else 0

    monkeypatch.setattr(verbs, "build_image", lambda _stack: noted.append("image"))
    monkeypatch.setattr(daemon, "start", lambda _say: noted.append("hypervisor"))
    monkeypatch.setattr(daemon, "stop", lambda _say: noted.append("hypervisor stops"))
    monkeypatch.setattr(
        settle, "settle", lambda _stack, *, before_destroy: noted.append(f"settle {before_destroy}")
    )

    def prove(_before: Before) -> int:
        noted.append("proof")
        return noted.left

    monkeypatch.setattr(Before, "prove", prove)
    monkeypatch.setattr(engine, "run", run)
    monkeypatch.chdir(tmp_path)
    Path("Pulumi.dev.yaml").touch()
    return noted


def test_up_has_image_hypervisor_and_order_before_it_and_shows_what_stands(calls: list[str]) -> None:
    assert verbs.up(Noting(calls), "-p", "4") == 0
    started = "engine up dev --yes --skip-preview --suppress-outputs -p 4"
    assert calls == ["image", "hypervisor", "select", "settle False", started, "outputs", "outputs"]


def test_an_up_that_failed_shows_nothing_and_tells_its_code(calls: list[str]) -> None:
    assert verbs.up(Noting(calls), "--fail") == 3
    assert calls[-1].startswith("engine up")


def test_an_adoption_looks_first_and_is_an_up_that_knows_what_stands(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(standing=object(), pool_sizes={})

    def find(_stack: Stack) -> object:
        calls.append("find")
        return found

    monkeypatch.setattr(adoption, "find", find)
    monkeypatch.setattr(adoption, "confirm", lambda _stack, _found, *, yes: calls.append(f"confirm {yes}"))
    monkeypatch.setattr(adoption, "take", lambda _stack, _found: calls.append("take"))
    assert verbs.adopt(Noting(calls), "-p", "4", yes=True) == 0
    started = "engine up dev --yes --skip-preview --suppress-outputs -p 4 with what stands"
    before = ["hypervisor", "find", "confirm True", "image", "take", "select", "settle False"]
    assert calls == [*before, started, "outputs", "outputs"]


def test_down_settles_destroys_and_lets_the_hypervisor_end(calls: list[str]) -> None:
    assert verbs.down(Noting(calls)) == 0
    destroyed = "engine destroy dev --yes --skip-preview --suppress-outputs --continue-on-error"
    assert calls == ["outputs", "hypervisor", "settle True", destroyed, "proof", "hypervisor stops"]


def test_a_down_that_leaves_something_fails_though_the_engine_is_content(calls: Noted) -> None:
    calls.left = 2
    assert verbs.down(Noting(calls)) == 2
    assert verbs.down(Noting(calls), "--fail") == 3


def test_the_hypervisor_goes_on_after_a_down_that_failed(calls: list[str]) -> None:
    assert verbs.down(Noting(calls), "--fail") == 3
    assert calls[-2].startswith("engine destroy")
    assert calls[-1] == "proof"


def test_down_of_no_stack_does_nothing(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.down(Noting(calls, stands=False)) == 0
    assert calls == []
    assert capsys.readouterr().err == "azlocal: there is no stack 'dev', so there is nothing to take down\n"


def test_a_preview_needs_no_hypervisor(calls: list[str]) -> None:
    assert verbs.preview(Noting(calls)) == 0
    assert calls == ["image", "select", "engine preview dev --diff"]


def test_another_size_is_an_up_that_shows_nothing(calls: list[str]) -> None:
    assert verbs.resize(Noting(calls), {"a": {"pool1": 2}}, "-p", "4") == 0
    started = "engine up dev --yes --skip-preview --suppress-outputs -p 4"
    assert calls == ["image", "hypervisor", "settle False", started, "outputs"]


def test_a_drill_is_open_until_an_up_or_a_down_has_succeeded(calls: list[str]) -> None:
    stack = Noting(calls)
    for verb in (verbs.up, verbs.down):
        journal.begin(stack.directory, stack.name, journal.OpenDrill("kill-api-server"))
        verb(stack, "--fail")
        assert journal.find(stack.directory, stack.name) is not None
        verb(stack, "--done")
        assert journal.find(stack.directory, stack.name) is None
