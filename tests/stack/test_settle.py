"""What is left of a killed run, and what is told to the engine about it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from infra.kvm.claim import Claim
from infra.stack import settle
from infra.stack.drills import journal
from infra.stack.state import Stack

URN = "urn:pulumi:local::azlocal::azlocal:index:Machine::local-rb-0"
PAIR = (URN, "qemu:///system#local-rb-0")
INPUTS = {"connection": "qemu:///system", "name": "local-rb-0", "instance": "local"}


def operation(type: str, kind: str) -> dict[str, object]:
    return {"type": type, "resource": {"urn": URN, "type": kind, "inputs": INPUTS}}


def test_only_creates_of_ours_are_looked_for() -> None:
    pending = [
        operation("creating", "azlocal:index:Machine"),
        operation("deleting", "azlocal:index:Machine"),
        operation("creating", "kubernetes:core/v1:Pod"),
    ]
    found = list(settle.pending_creates({"pending_operations": pending}))
    assert found == [(URN, "qemu:///system#local-rb-0")]
    assert list(settle.pending_creates({})) == []
    assert list(settle.pending_creates({"pending_operations": None})) == []


def test_a_lost_host_is_not_asked() -> None:
    ours = [
        {"urn": f"urn:{name}", "type": "azlocal:index:Machine", "id": f"qemu+ssh://root@{name}/system#x"}
        for name in ("gone", "there")
    ]
    deployment = {"resources": [*ours, {"urn": "urn:pod", "type": "kubernetes:core/v1:Pod", "id": "p"}]}
    assert settle.targets(deployment, frozenset()) == ["--target", settle.OURS]
    assert settle.targets(deployment, frozenset({"qemu+ssh://root@gone/system"})) == ["--target", "urn:there"]


def test_a_lock_is_dead_only_when_its_process_on_this_machine_is_gone(tmp_path: Path) -> None:
    here = socket.gethostname()
    assert settle.is_dead({"pid": 2**22 + 1, "hostname": here})
    assert not settle.is_dead({"pid": os.getpid(), "hostname": here})
    assert not settle.is_dead({"pid": 2**22 + 1, "hostname": "elsewhere"})


def test_a_process_that_ended_and_that_nobody_asks_for_is_gone() -> None:
    ended = subprocess.Popen(["true"])
    os.waitid(
        os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT
    )  # it stays listed, as under a container's first process
    try:
        assert settle.is_dead({"pid": ended.pid, "hostname": socket.gethostname()})
    finally:
        ended.wait()


class Kept(Stack):
    """A stack whose state is the test's, and which notes what the engine is asked to do."""

    def __init__(
        self, deployment: dict[str, object], *, failed: bool = False, lock: dict[str, object] | None = None
    ):
        super().__init__("local", Path(), "")
        self.__dict__.update(kept=deployment, failed=failed, held=[lock] if lock else [], done=[])

    def deployment(self) -> dict[str, object]:
        kept: dict[str, object] = self.__dict__["kept"]
        return kept

    def last_run_failed(self) -> bool:
        return bool(self.__dict__["failed"])

    def locks(self) -> Iterator[dict[str, object]]:
        yield from self.__dict__["held"]

    def cancel(self) -> None:
        self.done.append("cancel")

    def refresh(self, *options: str) -> None:
        self.done.append(" ".join(options))

    @property
    def done(self) -> list[str]:
        done: list[str] = self.__dict__["done"]
        return done


MACHINE = {"urn": URN, "type": "azlocal:index:Machine", "id": "qemu:///system#local-rb-0"}
KILLED = {"resources": [MACHINE], "pending_operations": [operation("creating", "azlocal:index:Machine")]}


@pytest.mark.parametrize(
    ("stack", "done"),
    [
        (Kept({"resources": [MACHINE]}), []),
        (Kept({"resources": [MACHINE]}, failed=True), [f"--target {settle.OURS}"]),
        (Kept({}, failed=True), []),
        (
            Kept(KILLED, failed=True, lock={"pid": 2**22 + 1, "hostname": socket.gethostname()}),
            ["cancel", f"--target {settle.OURS} {' '.join(f'--import-pending-creates {it}' for it in PAIR)}"],
        ),
    ],
    ids=["sound", "failed", "nothing made", "killed"],
)
def test_only_what_a_run_left_is_looked_at(
    stack: Kept, done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no site's file: no host is known to be lost
    settle.settle(stack)
    assert stack.done == done


@pytest.mark.parametrize("before_destroy", [False, True])
def test_what_a_drill_broke_is_given_back_and_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], before_destroy: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    undone: list[journal.OpenDrill] = []
    monkeypatch.setattr(journal, "undo", undone.append)
    stack = Kept({"resources": [MACHINE]})
    journal.begin(stack.directory, stack.name, journal.OpenDrill("lose-control-plane"))
    settle.settle(stack, before_destroy=before_destroy)
    assert [drill.drill for drill in undone] == ["lose-control-plane"]
    assert stack.done == ([] if before_destroy else [f"--target {settle.OURS}"])
    assert ("the drill lose-control-plane broke something" in capfd.readouterr().err) is not before_destroy
    journal.end(stack.directory, stack.name)
    settle.settle(stack)
    assert len(undone) == 1


def test_what_another_state_has_on_a_host_is_not_taken_for_what_a_killed_run_left() -> None:
    claim = Claim("one", "lab", "lab", "somebody")
    assert settle.is_this_states(claim, {"one"})
    assert not settle.is_this_states(claim, {"two"})
    assert not settle.is_this_states(claim, set()), "a state of azlocal 0.1.0, and a stack that was only begun"
    assert settle.is_this_states(None, set()), "azlocal 0.1.0 claimed nothing"
    assert not settle.is_this_states(None, {"two"}), "a state with an id claims before it makes anything"


def host(name: str, connection: str, boot_id: str | None, **more: object) -> dict[str, object]:
    outputs = {"name": name, "connection": connection, **({"bootId": boot_id} if boot_id else {}), **more}
    return {"urn": f"urn:{name}", "type": "azlocal:index:Host", "id": f"{connection}#local", "outputs": outputs}


def test_a_host_that_was_started_anew_is_looked_at_by_a_plain_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    here, silent = "qemu:///system", "qemu+ssh://root@127.0.0.1:9/system"
    now = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    for known, booted in (
        ([host("here", here, now)], []),
        ([host("here", here, "another")], ["here"]),
        ([host("here", here, None)], []),
        ([host("here", here, "another", lost=True)], []),
        ([host("here", here, now), host("off", silent, "another")], []),
    ):
        assert settle.hosts_that_booted({"resources": known}) == booted
        stack = Kept({"resources": known})
        settle.settle(stack)
        assert stack.done == ([f"--target {settle.OURS}"] if booted else [])
    stack = Kept({"resources": [host("here", here, "another")]})
    settle.settle(stack, before_destroy=True)
    assert stack.done == []
    assert "here was restarted" in capfd.readouterr().err


@pytest.mark.parametrize(("is_preview", "told"), [(True, ""), (False, "here was restarted since the last run. ")])
def test_who_uses_the_bare_command_is_told_what_is_not_settled(
    is_preview: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview asks no host."""
    state = tmp_path / ".pulumi" / "stacks" / "toy" / "dev.json"
    state.parent.mkdir(parents=True)
    booted = host("here", "qemu:///system", "another")
    state.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": [booted]}}}))
    (tmp_path / "Pulumi.yaml").write_text("name: toy\n")
    warned: list[str] = []
    monkeypatch.setenv("PULUMI_BACKEND_URL", tmp_path.as_uri())
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: is_preview)
    monkeypatch.setattr(pulumi, "warn", warned.append)
    settle.remind(tmp_path)
    assert [text.partition("`")[0] for text in warned] == ([told] if told else [])
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    settle.remind(tmp_path)
    assert len(warned) == bool(told), "another backend isn't asked"
