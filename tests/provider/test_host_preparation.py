"""What a preview says of a host's preparation, without changing anything there."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from infra.kvm.connection import Hosts
from infra.kvm.preparation import Plan, Step
from infra.plugin.operation import Operation
from infra.provider.kinds import host_preparation
from infra.provider.kinds.host import HostKind
from infra.ssh import LocalShell, SshError
from tests.kvm.preparation.samples import TAGGED, facts
from tests.provider.conftest import MemoryLog

NOBODY = "qemu+ssh://root@127.0.0.1:9/system"  # port "discard": nobody listens
STEP = Step("packages", "install ovmf", "the packages stay", "install it")


def preview(**changes: Any) -> list[tuple[str, str]]:
    kind, log = HostKind(Hosts()), MemoryLog()
    wanted = {"instance": "lab", "name": "node1", "connection": NOBODY, "storageDirectory": "/s", "prepare": True}
    inputs, faults = kind.contract.check(wanted | changes, frozenset())
    assert not faults
    kind.preview(Operation("urn:pulumi:lab::p::azlocal:index:Host::node1", log, threading.Event()), inputs, None)
    return log.lines


def test_of_a_host_that_does_not_answer_nothing_is_claimed() -> None:
    ((severity, text),) = preview()
    assert severity == "info"
    assert "what node1 lacks is unknown" in text
    assert "no connection to 127.0.0.1 port 9" in text


def test_a_host_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    class Hanging(LocalShell):
        def run(self, *_: Any, **__: Any) -> Any:
            release.wait(30)
            raise SshError("nobody waits for this")

    monkeypatch.setattr(host_preparation, "root_shell", lambda _: Hanging())
    monkeypatch.setattr(host_preparation, "PREVIEW_SECONDS", 0.1)
    ((_, text),) = preview()
    release.set()
    assert "doesn't answer within" in text


def test_steps_are_announced_or_only_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_preparation, "root_shell", lambda _: LocalShell())
    monkeypatch.setattr(host_preparation, "read_facts", lambda *_: facts())
    monkeypatch.setattr(host_preparation, "plan", lambda *_: Plan((STEP,), notes=("a note",)))
    announced = "node1 will be prepared:\n  packages: install ovmf; at a destroy the packages stay"
    assert preview() == [("info", announced), ("info", "node1: a note")]
    (severity, text), _ = preview(prepare=False)
    assert severity == "warning"
    assert "isn't prepared by azlocal, and lacks something:\n  packages: install ovmf" in text


def test_the_netplans_difference_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_preparation, "root_shell", lambda _: LocalShell())
    monkeypatch.setattr(host_preparation, "read_facts", lambda *_: facts())
    lines = preview(uplink="eno1", bridges=[{"name": TAGGED.name, "vlan": TAGGED.vlan}])
    assert "network: make azl-lab-aks on eno1.110" in lines[0][1]
    assert "+    azl-lab-aks:" in lines[1][1]
