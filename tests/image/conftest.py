"""A recipe of a few bytes and a runner that makes files instead of running programs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from infra.image.bundle import Bundle
from infra.image.errors import ImageError
from infra.image.places import Cache
from infra.image.recipe import MIB, Package, Recipe

LOADERS = (
    "usr/lib/shim/shimx64.efi.signed",
    "usr/lib/shim/mmx64.efi.signed",
    "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
)
IMAGES = {"pause": "registry.example/pause:1", "etcd": "registry.example/etcd:2"}
STATUS = """Package: base
Status: install ok installed
Version: 1.2-3
Description: a package
 with: a colon

Package: gone
Status: deinstall ok config-files
Version: 9
"""


class FakeRunner:
    """Stands in for every program; `fail` names one that fails."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fail: str | None = None
        self.stdin: dict[str, str] = {}

    def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        isolated: bool = False,
    ) -> str:
        self.calls.append(list(argv))
        self.stdin[argv[0]] = stdin
        if argv[0] == self.fail:
            raise ImageError(f"{argv[0]} failed with exit code 1", "Run it again.")
        if argv[0] == sys.executable:
            return "".join(
                f"{reference} type sha256:1 complete (2/2) 1 B/1 B true\n" for reference in IMAGES.values()
            )
        act = getattr(self, "_" + argv[0].replace("-", "_").replace(".", "_"), None)
        return (act(list(argv)) or "") if act else ""

    def stop(self) -> None:
        """What runs is done at once: there is nothing to end."""

    @property
    def programs(self) -> list[str]:
        return [call[0] for call in self.calls]

    def _mmdebstrap(self, argv: list[str]) -> None:
        Path(argv[-2]).write_bytes(b"tree")

    def _tar(self, argv: list[str]) -> None:
        tree = Path(argv[argv.index("--directory") + 1])
        for name in (*LOADERS, "etc/ssh/ssh_host_rsa_key", "etc/apt/apt.conf.d/99mmdebstrap"):
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        (tree / "var/lib/dpkg").mkdir(parents=True)
        (tree / "usr/bin").mkdir(parents=True)
        (tree / "var/lib/dpkg/status").write_text(STATUS)

    def _mke2fs(self, argv: list[str]) -> None:
        with Path(argv[-2]).open("wb") as file:
            file.truncate(int(argv[-1].removesuffix("k")) * 1024)
            file.seek(MIB)
            file.write(b"root file system")

    def _mkfs_vfat(self, argv: list[str]) -> None:
        Path(argv[-2]).write_bytes(b"vfat")

    def _debugfs(self, argv: list[str]) -> None:
        _, source, target = argv[argv.index("-R") + 1].split()
        Path(target).write_bytes(source.lstrip("/").encode())

    def _qemu_img(self, argv: list[str]) -> None:
        shutil.copyfile(argv[-2], argv[-1])


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def bundle(cache: Cache) -> Bundle:
    """Return a bundle of a few bytes that is in the cache."""
    folder = cache.bundle("b" * 64)
    for name in ("kubeadm", "kubelet", "kubectl", "containerd", "containerd-shim-runc-v2", "ctr", "runc", "helm"):
        path = folder / "binaries" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return Bundle(
        source="modules",
        digest=folder.name,
        kubernetes_version="1.2.3",
        folder=folder,
        images=IMAGES,
        charts={"calico": folder / "charts/calico"},
        created="2026-01-02T03:04:05+00:00",
    )


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        name="test-1",
        suite="bookworm",
        architecture="amd64",
        packages=(Package("systemd", "init"), Package("udev", "devices")),
        dpkg_options=("path-exclude=/usr/share/man/*",),
        install_files={"etc/initramfs-tools/conf.d/x": b"MODULES=list\n"},
        root_files={"etc/motd": b"hello\n", "usr/lib/azlocal/run": b"#!/bin/sh\n"},
        esp_files={"grub.cfg": b"boot\n"},
        enabled_units={"a.service": "sysinit.target"},
        masked_units=("b.timer",),
        links={"opt/bin": "../usr/bin"},
        removed=("etc/ssh/ssh_host_*", "etc/apt/apt.conf.d/99mmdebstrap"),
        disk_size=8 * MIB,
        esp_size=2 * MIB,
        label="root",
        bundle="b" * 64,
    )
