"""Make the two artefacts from one tree, on plain files: no loop device and no mount."""

from __future__ import annotations

import uuid
from pathlib import Path, PurePosixPath
from typing import Final

from infra.image.errors import ImageError
from infra.image.recipe import MIB, Recipe
from infra.image.sparse import copy_data
from infra.image.tools import Runner
from infra.image.tree import write_files

# GPT type GUIDs, as the Discoverable Partitions Specification has them.
_ESP_TYPE: Final = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_ROOT_TYPE: Final = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
_SECTOR: Final = 512

# Where firmware looks on a disk it knows nothing about, and where Debian's packages have what goes there.
_ESP_LOADERS: Final = {
    "EFI/BOOT/BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed",
    "EFI/BOOT/grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
    "EFI/BOOT/mmx64.efi": "usr/lib/shim/mmx64.efi.signed",
}
# The folder that Debian's signed GRUB has built in.
_GRUB_FOLDER: Final = PurePosixPath("EFI/debian")

# GRUB 2.06 reads no file system with metadata_csum_seed or orphan_file, and older kernels on a container
# host mount none. The file is all holes, so nothing needs zeroing: not now, and not in each machine.
_EXT4_FEATURES: Final = "^metadata_csum_seed,^orphan_file"
_EXT4_OPTIONS: Final = "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1"


def _uuid(recipe: Recipe, use: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"azlocal:{recipe.digest}:{use}"))


def make_root(recipe: Recipe, tree: Path, target: Path, run: Runner) -> None:
    """Make the sparse ext4 file system that is both a container's root and a VM's root partition."""
    argv = ["mke2fs", "-q", "-t", "ext4", "-F", "-b", "4096", "-m", "1"]
    argv += ["-L", recipe.label, "-U", _uuid(recipe, "root"), "-O", _EXT4_FEATURES]
    argv += ["-E", f"{_EXT4_OPTIONS},hash_seed={_uuid(recipe, 'hash')},root_owner=0:0"]
    argv += ["-d", str(tree), str(target), f"{recipe.root_size // 1024}k"]
    run(argv)


def make_disk(recipe: Recipe, root: Path, work: Path, target: Path, run: Runner) -> None:
    """Make a VM's qcow2 disk: GPT, an ESP that starts Debian's signed kernel, and `root`.

    Nothing but the root file system is needed, so that a disk can be made for an image that was built without.
    """
    esp = work / "esp.img"
    _make_esp(recipe, root, work / "esp", esp, run)
    raw = work / "disk.raw"
    with raw.open("xb") as file:
        file.truncate(recipe.disk_size)
    run(["sgdisk", *partition_arguments(recipe), str(raw)])
    copy_data(esp, raw, MIB)
    copy_data(root, raw, MIB + recipe.esp_size)
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2"]
    # A third of the size to send to each host, for a second more here; it unpacks faster than disks read.
    convert += ["-c", "-o", "compression_type=zstd"]
    run([*convert, str(raw), str(target)])
    raw.unlink()


def partition_arguments(recipe: Recipe) -> list[str]:
    """Return sgdisk's arguments: the ESP, then the root last, so that growpart can grow it."""
    esp_start = MIB // _SECTOR
    root_start = esp_start + recipe.esp_size // _SECTOR
    root_end = root_start + recipe.root_size // _SECTOR - 1
    return [
        "--clear",
        f"--disk-guid={_uuid(recipe, 'disk')}",
        f"--new=1:{esp_start}:{root_start - 1}",
        f"--typecode=1:{_ESP_TYPE}",
        f"--partition-guid=1:{_uuid(recipe, 'esp')}",
        f"--new=2:{root_start}:{root_end}",
        f"--typecode=2:{_ROOT_TYPE}",
        f"--partition-guid=2:{_uuid(recipe, 'partition')}",
    ]


def _make_esp(recipe: Recipe, root: Path, folder: Path, target: Path, run: Runner) -> None:
    folder.mkdir()
    loaders = {name: _read(root, source, folder, run) for name, source in _ESP_LOADERS.items()}
    configuration = {str(_GRUB_FOLDER / name): content for name, content in recipe.esp_files.items()}
    write_files(folder, loaders | configuration)
    serial = _uuid(recipe, "esp")[:8]
    run(["mkfs.vfat", "-F", "32", "-n", "ESP", "-i", serial, "-C", str(target), str(recipe.esp_size // 1024)])
    run(["mcopy", "-i", str(target), "-s", *(str(entry) for entry in sorted(folder.iterdir())), "::/"])


def _read(root: Path, source: str, folder: Path, run: Runner) -> bytes:
    """Read a file of an ext4 file system that isn't mounted."""
    copy = folder / "copy"
    run(["debugfs", "-R", f"dump /{source} {copy}", str(root)])
    # debugfs says in words alone that it failed.
    if not copy.is_file() or not copy.stat().st_size:
        raise ImageError(
            f"{source} isn't in {root}.", f"Delete {root.parent}; `azlocal image build` makes it again."
        )
    content = copy.read_bytes()
    copy.unlink()
    return content
