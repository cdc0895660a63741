"""What is left of a killed run, and what is told to the engine about it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from scripts import settle

URN = "urn:pulumi:local::azlocal::azlocal:index:Machine::local-rb-0"
INPUTS = {"connection": "qemu:///system", "name": "local-rb-0", "instance": "local"}


def operation(type: str, kind: str) -> dict[str, object]:
    return {"type": type, "resource": {"urn": URN, "type": kind, "inputs": INPUTS}}


def test_only_creates_of_ours_are_looked_for() -> None:
    pending = [
        operation("creating", "azlocal:index:Machine"),
        operation("deleting", "azlocal:index:Machine"),
        operation("creating", "kubernetes:core/v1:Pod"),
    ]
    export = {"deployment": {"pending_operations": pending}}
    assert list(settle.pending_creates(export)) == [(URN, "qemu:///system#local-rb-0")]
    assert list(settle.pending_creates({"deployment": {}})) == []
    assert list(settle.pending_creates({"deployment": None})) == []


def test_a_lost_host_is_not_asked() -> None:
    ours = [
        {"urn": f"urn:{name}", "type": "azlocal:index:Machine", "id": f"qemu+ssh://root@{name}/system#x"}
        for name in ("gone", "there")
    ]
    export = {
        "deployment": {"resources": [*ours, {"urn": "urn:pod", "type": "kubernetes:core/v1:Pod", "id": "p"}]}
    }
    assert settle.targets(export, frozenset()) == ["--target", settle.OURS]
    assert settle.targets(export, frozenset({"qemu+ssh://root@gone/system"})) == ["--target", "urn:there"]


def test_a_lock_is_dead_only_when_its_process_on_this_machine_is_gone(tmp_path: Path) -> None:
    here = socket.gethostname()
    assert settle.is_dead({"pid": 2**22 + 1, "hostname": here})
    assert not settle.is_dead({"pid": os.getpid(), "hostname": here})
    assert not settle.is_dead({"pid": 2**22 + 1, "hostname": "elsewhere"})


def test_locks_of_this_stack_are_found_in_a_file_backend(tmp_path: Path) -> None:
    for stack in ("local", "other"):
        folder = tmp_path / "my state" / ".pulumi" / "locks" / "organization" / "azlocal" / stack
        folder.mkdir(parents=True)
        (folder / "1.json").write_text(json.dumps({"pid": 1, "hostname": stack}))
    found = list(settle.locks((tmp_path / "my state").as_uri(), "local"))
    assert [lock["hostname"] for lock in found] == ["local"]
    assert list(settle.locks("s3://bucket", "local")) == []
