"""Hosts are asked at the same time, and none of them can hold up the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from infra.audit import ask as asking
from infra.audit import inventory
from infra.audit.model import Object, Observed
from infra.audit.view import inventory_text, read_inventory
from infra.ssh import CommandError, CommandResult, LocalShell, Shell, SshError
from tests.audit.samples import BEFORE, GONE, OF_MACHINE, STORE, observed


class Hanging(LocalShell):
    """A host that never answers."""

    def run(self, argv: Sequence[str], **_options: Any) -> CommandResult:
        threading.Event().wait(20)
        raise AssertionError


class Noting(LocalShell):
    """A host that keeps what is written to it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.commands: list[Sequence[str]] = []

    def run(self, argv: Sequence[str], **_options: Any) -> CommandResult:
        self.commands.append(argv)
        return CommandResult(tuple(argv), 0, "", "")

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        self.files[path] = data


def test_a_host_that_hangs_is_not_looked_at_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    shells: dict[str, Shell] = {"hangs": Hanging(), "there": LocalShell()}

    def root_shell(connection: str) -> Shell:
        if connection == "off":
            raise SshError("no route to host")
        return shells[connection]

    def ask(shell: Shell, _directory: str, seconds: float) -> Observed:
        if isinstance(shell, Hanging):
            shell.run([])
        return observed(inventory=BEFORE)

    monkeypatch.setattr(asking, "root_shell", root_shell)
    monkeypatch.setattr(asking, "ask", ask)
    names = ("hangs", "off", "there", "lost")
    scopes = [replace(GONE, host=name, connection=name, is_lost=name == "lost") for name in names]
    started = time.monotonic()
    hangs, off, there, lost = asking.look(scopes, seconds=0.2)
    assert time.monotonic() - started < 5
    assert hangs.unseen == {"": "it said nothing within 0 s"}
    assert off.unseen == {"": "no route to host"}
    assert (there.items, there.looked_at, there.unseen) == ((), 8, {})
    assert "lost: true" in lost.given_up


def test_an_inventory_that_the_host_has_no_more_is_the_one_kept_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "root_shell", lambda _connection: LocalShell())
    monkeypatch.setattr(asking, "ask", lambda *_arguments: observed(Object("link", "br-planted")))
    (place,) = asking.look([GONE], inventories=[BEFORE])
    assert [(item.verdict, item.name) for item in place.items] == [("unexplained", "br-planted")]


def test_what_a_host_told_before_it_hung_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class HungHalfway(LocalShell):
        def run(self, argv: Sequence[str], *, input: bytes | None = None, **_options: Any) -> CommandResult:
            assert input is not None
            boundary = input.decode().split("'%s\\n' '")[1].split(" ")[0]
            text = f"{boundary} tables\ntable ip x\n\n{boundary} 0\n{boundary} files\n1 /etc"
            raise CommandError("h", argv, None, text, "")

    view = asking.ask(HungHalfway(), STORE)
    assert [(thing.kind, thing.name) for thing in view.objects] == [("nftables", "ip x")]
    assert "files" in view.unseen


def test_a_host_is_noted_once_and_only_before_the_first_object(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, is_taken in (
        (observed(), True),
        (observed(Object("file", f"{STORE}.owner")), True),  # a run was killed right after its claim
        (observed(inventory=BEFORE), False),
        (observed(OF_MACHINE[0]), False),
    ):
        monkeypatch.setattr(inventory, "ask", lambda *_arguments, there=there: there)
        assert (inventory.take(LocalShell(), GONE) is not None) is is_taken


def test_a_note_lies_beside_the_claim_and_goes() -> None:
    shell = Noting()
    inventory.note(shell, STORE, BEFORE)
    assert read_inventory(shell.files[f"{STORE}.inventory"].decode()) == BEFORE
    inventory.forget(shell, STORE)
    assert shell.commands[-1][-1] == f"{STORE}.inventory"


def test_notes_are_read_from_all_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Keeping(LocalShell):
        def read_file(self, path: str) -> bytes:
            assert path == f"{STORE}.inventory"
            return inventory_text(BEFORE).encode()

    def root_shell(connection: str) -> Shell:
        if connection == "off":
            raise SshError("no route to host")
        return Keeping()

    monkeypatch.setattr(asking, "root_shell", root_shell)
    scopes = [GONE, replace(GONE, connection="off"), replace(GONE, is_lost=True)]
    assert asking.read_inventories(scopes) == [BEFORE, None, None]
