"""What is decided around a migration, and what becomes of a machine when it fails. The lab has the real thing."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest
from lxml import etree

from infra.errors import Interrupted
from infra.kvm import migration
from infra.kvm.errors import HostError
from infra.kvm.migration import choose_ports, describe_progress, migrate
from infra.kvm.ownership import Mark
from infra.kvm.vm import Vm
from infra.model.work import Work

MIB = 1 << 20
XML = "<domain type='kvm'><os><nvram>/nvram/m.fd</nvram></os></domain>"


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        ({}, "migrating"),
        ({"disk_total": 0, "memory_total": 0, "disk_remaining": 0}, "migrating"),
        (
            {"disk_total": 200 * MIB, "disk_remaining": 50 * MIB, "memory_remaining": MIB, "memory_total": MIB},
            "migrating: disk 75 %, 50 MiB left",
        ),
        (
            {
                "disk_total": 200 * MIB,
                "disk_remaining": 0,
                "memory_total": 1000 * MIB,
                "memory_remaining": MIB + 1,
            },
            "migrating: memory 99 %, 2 MiB left",
        ),
    ],
)
def test_progress_is_told(stats: dict[str, int], said: str) -> None:
    assert describe_progress(stats) == said


def test_ports_are_two_that_nobody_listens_on() -> None:
    taken = set(range(61000, 65000)) - {61234, 64321}
    assert set(choose_ports(taken)) == {61234, 64321}


class Domain:
    """Stands for the VM on its old host."""

    def __init__(self, state: int = libvirt.VIR_DOMAIN_RUNNING) -> None:
        self.now = state

    def name(self) -> str:
        return "m"

    def state(self) -> tuple[int, int]:
        return self.now, 0

    def XMLDesc(self) -> str:
        return XML


class Pool:
    """A pool that makes what it is told, and has nothing else."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def storagePoolLookupByName(self, name: str) -> Pool:
        return self

    def isActive(self) -> bool:
        return True

    def createXML(self, xml: str) -> Any:
        root = etree.fromstring(xml)
        self.made.append(f"{root.findtext('name')} {root.findtext('capacity')}")
        return SimpleNamespace(path=lambda: f"/b/{root.findtext('name')}")

    def storageVolLookupByName(self, name: str) -> Any:
        raise Gone("")


class Gone(libvirt.libvirtError):  # type: ignore[misc]  # untyped
    def get_error_code(self) -> int:
        return int(libvirt.VIR_ERR_NO_STORAGE_VOL)


@pytest.mark.parametrize("has_data", [False, True])
def test_there_is_room_for_each_drive(has_data: bool) -> None:
    drives = ["vda", "vdb"] if has_data else ["vda"]
    disks = "".join(
        f"<disk device='disk'><source file='/a/{name}'/><target dev='{name}'/></disk>" for name in drives
    )
    domain: Any = SimpleNamespace(
        XMLDesc=lambda: f"<domain><devices>{disks}</devices></domain>",
        blockInfo=lambda path: [{"/a/vda": 16, "/a/vdb": 20}[path]],
    )
    pool = Pool()
    target: Any = SimpleNamespace(qemu=pool)
    room = migration._make_room(Vm(target, "pool", "m", Mark("i", "s", "u")), domain)
    assert pool.made == ["m.qcow2 16", *(["m.data.qcow2 20"] if has_data else [])]
    assert (room.path, room.data) == ("/b/m.qcow2", "/b/m.data.qcow2" if has_data else None)


class Target:
    """Stands for the new host: remembers what was removed of it."""

    connection = "new"

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.shell = SimpleNamespace(remove_tree=self.removed.append)


def run(domain: Domain, monkeypatch: pytest.MonkeyPatch, cancelled: bool = False) -> list[str]:
    target, stop, mark = Target(), threading.Event(), Mark("i", "s", "u")

    def fail(*_: object) -> None:
        if cancelled:
            stop.set()
        raise HostError("the wire is cut")

    monkeypatch.setattr(migration, "_make_room", fail)
    monkeypatch.setattr(Vm, "remove", lambda machine: target.removed.append(machine.name))
    source: Any = SimpleNamespace(connection="old")
    there = Vm(source, "pool", "m", mark, domain)
    here = Vm(target, "pool", "m", mark)  # type: ignore[arg-type]
    try:
        migrate(there, here, {}, Work(cancelled=stop))
    except HostError as error:
        return [str(error), *target.removed]
    raise AssertionError("it came to an end")


def test_a_failed_migration_leaves_the_machine_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    said, *removed = run(Domain(), monkeypatch)
    assert said.startswith("m didn't migrate from old to new: the wire is cut. It runs on where it was.")
    assert removed == ["m", "/nvram/m.fd"]


def test_where_the_machine_may_have_gone_over_nothing_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    said, *removed = run(Domain(libvirt.VIR_DOMAIN_SHUTOFF), monkeypatch)
    assert "see with `virsh list --all` on both hosts" in said
    assert removed == []


def test_a_cancelled_migration_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Interrupted, match="m runs on where it was; the next `pulumi up` migrates it"):
        run(Domain(), monkeypatch, cancelled=True)


def test_a_cancelled_run_aborts_the_job_until_there_is_one_to_abort() -> None:
    job: Future[Any] = Future()
    stop, calls = threading.Event(), 0
    stop.set()

    class Migrating(Domain):
        def abortJob(self) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise libvirt.libvirtError("no job is active")
            job.set_exception(libvirt.libvirtError("canceled"))

    migration._watch(Migrating(), job, Work(cancelled=stop))
    assert calls == 2
