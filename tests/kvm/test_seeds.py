"""However a seed goes, its keys are overwritten before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import libvirt
import pytest

from infra.kvm import vm
from infra.kvm.connection import HostSession
from infra.kvm.container import Container
from infra.kvm.ownership import Mark
from infra.kvm.storage import ensure_pool, remove_pool
from infra.ssh import CommandError, CommandResult, LocalShell

POOL, MACHINE, MARK = "azlocal-seeds", "local-a-cp-0", Mark("local", "local", "urn")
SECRET = b"a private key, and the token of joining nodes"


class Shell(LocalShell):
    """This machine's shell; it may lack shred."""

    lacks_shred = False

    def run(self, argv: Any, **more: Any) -> CommandResult:
        if self.lacks_shred and "shred" in argv:
            raise CommandError(self.host, argv, 127, "", "find: 'shred': No such file or directory")
        return super().run(argv, **more)


@dataclass
class Session:
    qemu: libvirt.virConnect
    shell: Shell = field(default_factory=Shell)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[HostSession]:
    with_pool = libvirt.open("test:///default")
    ensure_pool(with_pool, POOL, str(tmp_path / "volumes"), MARK)
    yield cast("HostSession", Session(with_pool))
    remove_pool(with_pool, POOL, MARK)
    with_pool.close()


@pytest.fixture
def container(session: HostSession) -> Container:
    return Container(session, POOL, MACHINE, MARK)


@pytest.fixture
def kept(container: Container, tmp_path: Path) -> Path:
    """A second name of a container's seed, by which one sees what becomes of its blocks."""
    container.place_seed({"user-data": SECRET, "meta-data": b"{}"})
    os.link(tmp_path / "seeds" / MACHINE / "user-data", tmp_path / "kept")
    return tmp_path / "kept"


def test_a_seed_that_goes_with_its_machine_is_overwritten_first(
    container: Container, kept: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        container.remove_seed()
    assert SECRET not in kept.read_bytes()
    assert list((tmp_path / "seeds").iterdir()) == []


def test_a_seed_that_can_not_be_overwritten_goes_and_that_is_told(
    container: Container, kept: Path, tmp_path: Path
) -> None:
    cast("Session", container.host).shell.lacks_shred = True
    with pytest.raises(CommandError, match="shred"):
        container.remove_seed()
    assert list((tmp_path / "seeds").iterdir()) == []


class Volume:
    """A VM's seed, as libvirt has it."""

    def __init__(self, *, wipe: int = 0, delete: int = 0) -> None:
        self.errors = {"wipe": wipe, "delete": delete}
        self.calls: list[str] = []

    def wipe(self) -> None:
        self._do("wipe")

    def delete(self) -> None:
        self._do("delete")

    def _do(self, call: str) -> None:
        self.calls.append(call)
        if self.errors[call]:
            error = libvirt.libvirtError(call)
            error.err = (self.errors[call], libvirt.VIR_FROM_STORAGE, call, 0, "", None, None, -1, -1)
            raise error


GONE, FAILS = libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_INTERNAL_ERROR


@pytest.mark.parametrize(
    ("volume", "fails"),
    [(Volume(), False), (Volume(wipe=GONE, delete=GONE), False), (Volume(wipe=FAILS), True)],
    ids=["is there", "went meanwhile", "can't be overwritten"],
)
def test_a_vm_s_seed_is_overwritten_and_deleted_whatever_fails(
    session: HostSession, monkeypatch: pytest.MonkeyPatch, volume: Volume, fails: bool
) -> None:
    monkeypatch.setattr(vm, "find_volume", lambda pool, name: volume if name == f"{MACHINE}-seed.iso" else None)
    machine = vm.Vm(session, POOL, MACHINE, MARK)
    with pytest.raises(libvirt.libvirtError) if fails else nullcontext():
        machine.remove_seed()
    assert volume.calls == ["wipe", "delete"]
