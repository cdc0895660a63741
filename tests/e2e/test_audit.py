"""`azlocal audit` on a standing instance: sees what is planted, removes what is ours; `down` ends with a proof."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.kvm.ownership import Mark
from infra.spec.hosts import DEFAULT_STORAGE_DIRECTORY
from tests.instance import INSTANCE, QEMU, STRANGER, MakeProject, libvirt, stranger, virsh
from tests.project import Project

pytestmark = pytest.mark.e2e

STORE = Path(DEFAULT_STORAGE_DIRECTORY) / INSTANCE
LEFT = f"{INSTANCE}-left"
BRIDGE = f"azlp-{INSTANCE}"


def test_an_audit_sees_what_is_planted_and_down_proves_that_nothing_is_left(make_project: MakeProject) -> None:
    project = make_project(clusters=[])
    project.up().expect()
    assert STORE.with_suffix(".inventory").exists()
    seen = audit(project, 0)
    assert seen["counts"].keys() <= {"kept", "unexplained"}
    assert seen["hosts"][0]["inventoryTaken"]

    volume = STORE / "volumes" / f"{LEFT}.raw"
    with stranger(), bridge(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(project.directory / "kubeconfig"))
        domain(LEFT, Mark(INSTANCE, INSTANCE, "").uuid("domain", LEFT))
        volume.touch()
        (STORE / "volumes" / "notes.txt").touch()
        planted = {(one["verdict"], one["kind"], one["name"]) for one in objects(audit(project, 2))}
        assert {
            ("leftover", "domain", LEFT),
            ("leftover", "volume", str(volume)),
            ("foreign", "volume", f"{STORE}/volumes/notes.txt"),
            ("unexplained", "network", STRANGER),
            ("unexplained", "link", BRIDGE),
        } <= planted
        (STORE / "volumes" / "notes.txt").unlink()

        said = project.azlocal("audit", "--clean", "--yes").expect().output
        assert f"removing machine {LEFT}" in said
        assert not volume.exists()
        assert LEFT not in virsh("list", "--all", "--name", uri=QEMU)
        strict = {one["name"] for one in objects(audit(project, 2, "--strict"))}
        assert {STRANGER, BRIDGE} <= strict

        done = project.azlocal("down").expect().output
        (proof,) = (line for line in done.splitlines() if "is left on 1 host" in line)
        assert f"nothing of {INSTANCE} is left on 1 host" in proof
        assert f"network {STRANGER}" in done
    assert not STORE.with_suffix(".inventory").exists()


def audit(project: Project, code: int, *flags: str) -> dict[str, Any]:
    target = project.directory / "audit.json"
    project.azlocal("audit", "-o", str(target), *flags).expect(code)
    seen: dict[str, Any] = json.loads(target.read_text())
    return seen


def objects(seen: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for host in seen["hosts"] for one in host["objects"]]


def domain(name: str, uuid: str) -> None:
    xml = f"<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory>1024</memory>"
    libvirt("define", f"{xml}<os><type arch='x86_64'>hvm</type></os></domain>")


@contextmanager
def bridge() -> Iterator[None]:
    subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)
