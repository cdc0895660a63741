"""What a host has is noted before the instance's first object, and a host that can't tell holds up no `up`."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.audit import inventory
from infra.audit.view import read_inventory
from infra.plugin.operation import Operation
from infra.provider.kinds import host_inventory
from infra.resources.host import HostInputs
from infra.ssh import LocalShell, SshError
from tests.audit.samples import BEFORE, observed
from tests.provider.conftest import MemoryLog


def operation(log: MemoryLog) -> Operation:
    return Operation("urn:pulumi:lab::azlocal::azlocal:index:Host::here", log, threading.Event())


def test_it_is_taken_noted_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "ask", lambda *_arguments: observed())
    inputs = HostInputs(instance="lab", name="here", connection="c", storage_directory=str(tmp_path / "lab"))
    session: Any = SimpleNamespace(shell=LocalShell())
    before = host_inventory.take(operation(MemoryLog()), session, inputs)
    assert before is not None
    host_inventory.note(session, inputs, before)
    noted = read_inventory((tmp_path / "lab.inventory").read_text())
    assert noted is not None
    assert noted.names == BEFORE.names
    host_inventory.forget(session, inputs)
    host_inventory.note(session, inputs, None)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_cannot_tell_holds_up_no_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_arguments: object) -> None:
        raise SshError("it hangs")

    monkeypatch.setattr(inventory, "ask", ask)
    log = MemoryLog()
    inputs = HostInputs(instance="lab", name="here", connection="c", storage_directory=str(tmp_path / "lab"))
    session: Any = SimpleNamespace(shell=LocalShell())
    assert host_inventory.take(operation(log), session, inputs) is None
    assert (
        "info",
        "what here has couldn't be noted, so an audit goes by marks alone there: it hangs",
    ) in log.lines
