"""A folder in which copies of disks are instant: its own file system's reflinks, or an XFS file of ours.

Where the folder's file system can't share blocks between files, `<folder>.xfs`, a sparse file with XFS in it,
is mounted onto the folder, and by systemd again at each boot of the host. Each step can be repeated: the next
`ensure` goes on from wherever a run was killed.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Final, Literal

from infra.kvm import store_unit
from infra.kvm.errors import HostError
from infra.kvm.mounts import Mount, parse_mounts
from infra.ssh import CommandError, Shell

StoreKind = Literal["native", "xfs-loop"]

_PROBE: Final = ".azlocal-reflink-probe"
_PROBE_SIZE: Final = 64 << 10  # big enough that no file system keeps it inside the inode
_MOUNT_OPTIONS: Final = "loop,discard,nodev,nosuid"  # discard: a deleted disk gives its blocks back to the host
_RESERVE_BYTES: Final = 2 << 30
_RESERVE_SHARE: Final = 20
_LEAST_BYTES: Final = 4 << 30
_LOOP_GONE_SECONDS: Final = 10.0
_FORMAT_SECONDS: Final = 300.0


class CloneStoreError(HostError):
    """The folder can't be made ready, or may not be removed."""


@dataclass(frozen=True)
class CloneStore:
    """How disks are copied at once in a folder, and why that way."""

    kind: StoreKind
    reason: str


def ensure(shell: Shell, directory: str) -> CloneStore:
    """Make the folder, and make copies in it instant.

    Raises:
        CloneStoreError: it can't be done; the message says what is in the way.
    """
    image = _image(directory)
    shell.make_directory(directory)
    if not shell.exists(image):
        _refuse_lost_image(shell, directory)
        if _reflinks(shell, directory):
            return CloneStore("native", f"the file system of {directory} clones files itself")
        _refuse_hiding(shell, directory)
        _make_image(shell, image)
    _mount_once(shell, image, directory)
    store_unit.install(shell, image, directory, _MOUNT_OPTIONS)
    return _loop_store(shell, directory)


def inspect(shell: Shell, directory: str) -> CloneStore | None:
    """Return how the folder stands; None when it isn't there, isn't mounted or copies byte by byte."""
    if not shell.exists(directory):
        return None
    if shell.exists(_image(directory)):
        mounted = _own_mounts(shell, _image(directory), directory)
        return _loop_store(shell, directory) if mounted else None
    if not _reflinks(shell, directory):
        return None
    return CloneStore("native", f"the file system of {directory} clones files itself")


def remove(shell: Shell, directory: str) -> None:
    """Remove the folder and what `ensure` made for it.

    Raises:
        CloneStoreError: it still holds files, or something still uses it.
    """
    image = _image(directory)
    if shell.exists(image):
        shell.make_directory(directory)
        _mount_once(shell, image, directory)  # only so does it show what it holds
    if not shell.exists(directory):
        _remove_images(shell, image)
        return
    held = _held(shell, directory)
    if held:
        raise CloneStoreError(
            f"{shell.host}: {directory} still holds {', '.join(held)}, so it stays. "
            "Move these away, then run the same command again."
        )
    if shell.exists(image):
        store_unit.uninstall(shell, directory)
        _unmount_all(shell, image, directory)
    _remove_images(shell, image)
    shell.run(["rmdir", "--", directory])


def image_files(directory: str) -> tuple[str, str]:
    """Return where the file lies that is mounted onto a folder, and where it lies while it is being made."""
    return _image(directory), _unfinished(_image(directory))


def store_size(free: int) -> int:
    """Return the size of the store for so many free bytes; the file is sparse, so that size costs nothing.

    Raises:
        ValueError: that is too little to start with.
    """
    size = free - max(_RESERVE_BYTES, free // _RESERVE_SHARE)
    if size < _LEAST_BYTES:
        raise ValueError(f"{free >> 20} MiB are free, {(_LEAST_BYTES + _RESERVE_BYTES) >> 20} MiB are needed")
    return size >> 20 << 20


def _image(directory: str) -> str:
    return f"{directory.rstrip('/')}.xfs"


def _unfinished(image: str) -> str:
    return f"{image}.new"


def _loop_store(shell: Shell, directory: str) -> CloneStore:
    return CloneStore(
        "xfs-loop",
        f"the file system under {directory} can't clone files, so {_image(directory)} is mounted there",
    )


def _reflinks(shell: Shell, directory: str) -> bool:
    """Try it: what a file system says of itself isn't what it does."""
    source, clone = f"{directory}/{_PROBE}", f"{directory}/{_PROBE}-clone"
    shell.write_file(source, b"\0\1" * (_PROBE_SIZE // 2))
    try:
        return shell.run(["cp", "--reflink=always", "--", source, clone], check=False).exit_code == 0
    finally:
        shell.run(["rm", "--force", "--", source, clone])


def _make_image(shell: Shell, image: str) -> None:
    """Make file and file system under another name: the image's own name means that it is whole."""
    unfinished = _unfinished(image)
    parent = image.rpartition("/")[0] or "/"
    free = int(shell.run(["df", "--block-size=1", "--output=avail", "--", parent]).stdout.split()[-1])
    try:
        size = store_size(free)
    except ValueError as error:
        raise CloneStoreError(
            f"{shell.host}: no room for machines' disks in {parent}: {error}. "
            "Free some space, or name another storageDirectory."
        ) from error
    shell.run(["rm", "--force", "--", unfinished])
    shell.run(["truncate", f"--size={size}", "--", unfinished])
    shell.run(["chmod", "0600", "--", unfinished])
    try:
        shell.run(["mkfs.xfs", "-q", "-m", "reflink=1", unfinished], timeout=_FORMAT_SECONDS)
    except CommandError as error:
        shell.run(["rm", "--force", "--", unfinished])
        raise CloneStoreError(f"{error}. XFS is what clones disks at once: install xfsprogs there.") from error
    shell.run(["mv", "--no-target-directory", "--", unfinished, image])


def _mount_once(shell: Shell, image: str, directory: str) -> None:
    """Mount the image, or take off what a repeated mount left on top."""
    mounts = _own_mounts(shell, image, directory)
    for _ in mounts[1:]:
        _unmount(shell, directory)
    if mounts:
        return
    _refuse_hiding(shell, directory)
    try:
        shell.run(["mount", "-t", "xfs", "-o", _MOUNT_OPTIONS, "--", image, directory])
    except CommandError as error:
        raise CloneStoreError(
            f"{error}. If {image} holds nothing that is still needed, remove it and run the same command again."
        ) from error
    _write_directly(shell, image)


def _write_directly(shell: Shell, image: str) -> None:
    """Let the loop device write past the page cache below: an image then reaches the disk in half the time.

    Without that the file system under the store holds every written page once more, and a write of anything that
    must last (etcd's log) waits for all of them. Where that file system can't do it, the store works as before.
    """
    for loop in sorted(_loops(shell, image)):
        shell.run(["losetup", "--direct-io=on", "--", loop], check=False)


def _unmount_all(shell: Shell, image: str, directory: str) -> None:
    for _ in _own_mounts(shell, image, directory):
        _unmount(shell, directory)
    deadline = time.monotonic() + _LOOP_GONE_SECONDS
    while loops := _loops(shell, image):
        if time.monotonic() > deadline:
            loop = min(loops)
            raise CloneStoreError(
                f"{shell.host}: {directory} is unmounted here, but {loop} still holds {image}: a process with a "
                f"mount namespace of its own has it mounted. `grep -l {loop} /proc/*/mountinfo` names such "
                "processes; end them, then run the same command again."
            )
        time.sleep(0.1)


def _unmount(shell: Shell, directory: str) -> None:
    try:
        shell.run(["umount", "--", directory])
    except CommandError as error:
        raise CloneStoreError(
            f"{error}. `fuser -vm {directory}` names what uses it; end that, then run the same command again."
        ) from error


def _remove_images(shell: Shell, image: str) -> None:
    shell.run(["rm", "--force", "--", image, _unfinished(image)])


def _own_mounts(shell: Shell, image: str, directory: str) -> list[Mount]:
    """Return the mounts of the image on the folder, the lowest first."""
    loops = _loops(shell, image)
    mounts = [mount for mount in _mounts(shell) if mount.target == directory]
    own = [mount for mount in mounts if mount.source in loops]
    if mounts and mounts[-1] not in own:
        raise CloneStoreError(
            f"{shell.host}: {mounts[-1].source} is mounted on {directory}, where azlocal's own {image} belongs. "
            "Unmount it, or name another storageDirectory."
        )
    return own


def _mounts(shell: Shell) -> list[Mount]:
    return parse_mounts(shell.run(["cat", "/proc/self/mountinfo"]).stdout)


def _loops(shell: Shell, image: str) -> set[str]:
    """Return the loop devices that hold the image."""
    listed = shell.run(["losetup", "--json", "--list", "--output", "NAME", "--associated", image]).stdout
    return {device["name"] for device in json.loads(listed)["loopdevices"]} if listed.strip() else set()


def _held(shell: Shell, directory: str) -> list[str]:
    names = shell.run(["ls", "--almost-all", "--escape", "--", directory]).stdout.splitlines()
    return [name for name in names if not name.startswith(_PROBE)]


def _refuse_hiding(shell: Shell, directory: str) -> None:
    held = _held(shell, directory)
    if held:
        raise CloneStoreError(
            f"{shell.host}: {directory} holds {', '.join(held)}, which a mount there would hide. "
            "Move these away, or name another storageDirectory."
        )


def _refuse_lost_image(shell: Shell, directory: str) -> None:
    """Without its name the mounted image still works, until the next reboot takes every disk with it."""
    for mount in _mounts(shell):
        if mount.target == directory and mount.source.startswith("/dev/loop"):
            held_file = shell.run(
                ["losetup", "--noheadings", "--output", "BACK-FILE", mount.source]
            ).stdout.strip()
            if held_file == f"{_image(directory)} (deleted)":
                raise CloneStoreError(
                    f"{shell.host}: {_image(directory)} was deleted while it is mounted on {directory}: the next "
                    f"reboot loses what it holds. Copy that away, `umount {directory}`, then run this again."
                )
