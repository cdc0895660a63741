"""Running the steps: each proven by facts read again, the first failure told with step, command and remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from infra.hosts.facts.system import Distribution
from infra.kvm.preparation import PreparationError, PreparationFacts, prepare
from infra.kvm.preparation import run as runs
from infra.model.work import Work
from infra.ssh import CommandError, CommandResult, LocalShell, Shell
from tests.kvm.preparation.samples import facts, wants

BARE = facts(packages=facts().packages - {"ovmf"}, user="ann", groups=frozenset())


class Host(LocalShell):
    """Notes commands; those that hold a word fail as told."""

    def __init__(self, failures: dict[str, list[str]] | None = None) -> None:
        self.commands: list[str] = []
        self.failures = failures or {}

    def run(self, argv: Sequence[str], **_: Any) -> CommandResult:
        line = " ".join(argv)
        self.commands.append(line)
        for word, reasons in self.failures.items():
            if word in line and reasons:
                raise CommandError("node1", argv, 100, "", reasons.pop(0))
        return CommandResult(tuple(argv), 0, "", "")


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that has the host show these facts, one after the other; the last ones stay."""

    def show(*found: PreparationFacts) -> None:
        left = list(found)
        monkeypatch.setattr(runs, "read_facts", lambda *_: left.pop(0) if len(left) > 1 else left[0])
        monkeypatch.setattr(runs, "_LOCK_PAUSE", 0.0)

    return show


def nobody() -> Shell:
    raise AssertionError("no other connection is needed")


def run(host: Host) -> tuple[list[str], list[str]]:
    said: list[str] = []
    done = prepare(host, nobody, wants(), Work(status=said.append), "ann")
    return [step.id for step in done.steps], said


def test_steps_run_in_order_and_their_work_is_looked_at(shows: Callable[..., None]) -> None:
    installed = replace(BARE, packages=facts().packages)
    shows(BARE, installed, replace(installed, groups=frozenset({"libvirt"})))
    host = Host()
    assert run(host)[0] == ["packages", "access"]
    assert host.commands[0].endswith(" update")
    assert host.commands[1].endswith(" -- ovmf")
    assert host.commands[2].startswith("usermod")


def test_a_host_that_has_all_is_only_looked_at(shows: Callable[..., None]) -> None:
    shows(facts())
    host = Host()
    assert run(host) == ([], [])
    assert host.commands == []


def test_the_first_failure_names_step_command_and_remedy(shows: Callable[..., None]) -> None:
    shows(BARE)
    host = Host({"install": ["E: Failed to fetch http://deb.debian.org"]})
    with pytest.raises(PreparationError) as raised:
        run(host)
    for word in ("step 'packages'", "apt-get", "Failed to fetch", "install these by hand: ovmf"):
        assert word in str(raised.value)
    assert not any("usermod" in command for command in host.commands), "nothing runs after it"


def test_another_package_manager_is_waited_for(shows: Callable[..., None]) -> None:
    shows(replace(BARE, groups=frozenset({"libvirt"})), facts())
    locked = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7"
    ids, said = run(Host({"update": [locked, locked]}))
    assert ids == ["packages"]
    assert said[1:] == ["waiting for another package manager on the host"] * 2


def test_a_step_that_did_not_take_is_no_success(shows: Callable[..., None]) -> None:
    shows(BARE)
    with pytest.raises(PreparationError, match="was run and its work isn't there"):
        run(Host())


def test_a_host_that_cannot_be_prepared_is_left_alone(shows: Callable[..., None]) -> None:
    shows(facts(distribution=Distribution("fedora", "Fedora Linux 43")))
    host = Host()
    with pytest.raises(PreparationError, match="Fedora Linux 43"):
        run(host)
    assert host.commands == []
