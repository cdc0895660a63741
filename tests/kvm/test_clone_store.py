"""The folder in which copies are instant: on this machine's own kernel, killed at each step."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from infra.kvm import clone_store
from infra.kvm.clone_store import CloneStoreError, store_size
from infra.ssh import CommandResult, LocalShell

GIB = 1 << 30


@pytest.mark.parametrize(("free", "size"), [(6 * GIB, 4 * GIB), (100 * GIB, 95 * GIB), (10 * GIB + 5, 8 * GIB)])
def test_size_leaves_a_reserve(free: int, size: int) -> None:
    assert store_size(free) == size


def test_too_little_space() -> None:
    with pytest.raises(ValueError, match="6143 MiB are free, 6144 MiB are needed"):
        store_size(6 * GIB - 1)


class Killed(Exception):
    pass


class KilledAt(LocalShell):
    """Ends before, or right after, the nth command, as `kill -9` would."""

    def __init__(self, step: int, after: bool) -> None:
        self.left, self.after = step, after

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 60, check: bool = True
    ) -> CommandResult:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        result = super().run(argv, input=input, timeout=timeout, check=check)
        if self.left == 0:
            raise Killed
        return result


def is_mounted(folder: Path) -> int:
    return Path("/proc/self/mountinfo").read_text().count(f" {folder} ")


def loops(image: Path) -> str:
    return subprocess.run(["losetup", "-j", image], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own without reflinks, so that the machine's own doesn't matter."""
    image, below = tmp_path / "ext4", tmp_path / "below"
    below.mkdir()
    subprocess.run(["truncate", "--size=20G", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, below], check=True)
    yield below / "local"
    while is_mounted(below / "local"):
        subprocess.run(["umount", below / "local"], check=True)
    subprocess.run(["umount", below], check=True)


@pytest.mark.lab
class TestReal:
    def test_life(self, folder: Path) -> None:
        shell = LocalShell()
        assert clone_store.inspect(shell, str(folder)) is None
        made = clone_store.ensure(shell, str(folder))
        assert made.kind == "xfs-loop"
        assert clone_store.ensure(shell, str(folder)) == made == clone_store.inspect(shell, str(folder))
        assert is_mounted(folder) == 1
        device = loops(folder.with_suffix(".xfs")).partition(":")[0]
        asked = ["losetup", "--noheadings", "--output", "DIO", device]
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == "1"

        disk = folder / "disk"
        disk.write_bytes(os.urandom(50 << 20))
        os.sync()
        free = os.statvfs(folder).f_bfree
        subprocess.run(["cp", "--reflink=always", disk, folder / "copy"], check=True)
        assert (free - os.statvfs(folder).f_bfree) * os.statvfs(folder).f_frsize < 1 << 20

        with pytest.raises(CloneStoreError, match="still holds copy, disk"):
            clone_store.remove(shell, str(folder))
        disk.unlink()
        (folder / "copy").unlink()
        clone_store.remove(shell, str(folder))
        clone_store.remove(shell, str(folder))
        assert not list(folder.parent.glob("local*"))
        assert not loops(folder.with_suffix(".xfs"))

    def test_after_a_reboot(self, folder: Path) -> None:
        shell = LocalShell()
        clone_store.ensure(shell, str(folder))
        (folder / "disk").write_text("content")
        subprocess.run(["umount", folder], check=True)
        assert clone_store.inspect(shell, str(folder)) is None
        with pytest.raises(CloneStoreError, match="still holds disk"):
            clone_store.remove(shell, str(folder))
        clone_store.ensure(shell, str(folder))
        assert (folder / "disk").read_text() == "content"
        assert is_mounted(folder) == 1

    def test_mounted_twice(self, folder: Path) -> None:
        clone_store.ensure(LocalShell(), str(folder))
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        assert is_mounted(folder) == 2
        clone_store.ensure(LocalShell(), str(folder))
        assert is_mounted(folder) == 1

    def test_busy_is_named_and_nothing_is_lost(self, folder: Path) -> None:
        clone_store.ensure(LocalShell(), str(folder))
        user = subprocess.Popen(["sleep", "60"], cwd=folder)
        try:
            with pytest.raises(CloneStoreError, match="fuser -vm"):
                clone_store.remove(LocalShell(), str(folder))
        finally:
            user.kill()
            user.wait()
        assert clone_store.inspect(LocalShell(), str(folder)) is not None
        clone_store.remove(LocalShell(), str(folder))

    def test_never_hides_files(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "mine").write_text("")
        with pytest.raises(CloneStoreError, match="holds mine, which a mount there would hide"):
            clone_store.ensure(LocalShell(), str(folder))
        assert not folder.with_suffix(".xfs").exists()

    def test_a_file_that_is_no_file_system_is_kept(self, folder: Path) -> None:
        folder.with_suffix(".xfs").write_text("somebody's")
        with pytest.raises(CloneStoreError, match="holds nothing that is still needed"):
            clone_store.ensure(LocalShell(), str(folder))
        with pytest.raises(CloneStoreError):
            clone_store.remove(LocalShell(), str(folder))
        assert folder.with_suffix(".xfs").read_text() == "somebody's"

    def test_image_deleted_while_mounted(self, folder: Path) -> None:
        clone_store.ensure(LocalShell(), str(folder))
        folder.with_suffix(".xfs").unlink()
        with pytest.raises(CloneStoreError, match="was deleted while it is mounted"):
            clone_store.ensure(LocalShell(), str(folder))

    def test_file_system_that_clones_itself_needs_nothing(self, folder: Path) -> None:
        clone_store.ensure(LocalShell(), str(folder))
        inner = folder / "instance"
        assert clone_store.ensure(LocalShell(), str(inner)).kind == "native"
        assert [path.name for path in folder.iterdir()] == ["instance"]
        clone_store.remove(LocalShell(), str(inner))
        assert not inner.exists()

    @pytest.mark.parametrize("act", [clone_store.ensure, clone_store.remove])
    @pytest.mark.parametrize("after", [False, True])
    def test_killed_anywhere_then_repeated(
        self, folder: Path, act: Callable[[LocalShell, str], object], after: bool
    ) -> None:
        for step in range(1, 40):
            if act is clone_store.remove:
                clone_store.ensure(LocalShell(), str(folder))
            try:
                act(KilledAt(step, after), str(folder))
            except Killed:
                pass
            else:
                break
            if act is clone_store.ensure:
                clone_store.ensure(LocalShell(), str(folder))
                assert is_mounted(folder) == 1
                assert [path.name for path in folder.iterdir()] == []
            clone_store.remove(LocalShell(), str(folder))
            assert not list(folder.parent.glob("local*"))
            assert not loops(folder.with_suffix(".xfs"))
        assert 5 < step < 39
