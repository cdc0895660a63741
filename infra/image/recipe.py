"""The node image's recipe, as data, and the digests that name what comes out of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

# Raise it when the builder's code makes something else from the same recipe.
BUILDER_VERSION: Final = 3

MIB: Final = 1 << 20
GIB: Final = 1 << 30


@dataclass(frozen=True)
class Package:
    """A package to install, and why a node needs it."""

    name: str
    why: str


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an image's content, except which day's Debian the mirror serves.

    Attributes:
        name: The image's name without its digest.
        suite: The Debian suite.
        architecture: The Debian architecture.
        packages: What is installed on top of mmdebstrap's `minbase`.
        dpkg_options: What dpkg leaves out; it stays left out when a package is upgraded on a node.
        install_files: Files that are there before the packages are installed, by path in the image.
        root_files: Files added after all packages, by path in the image.
        esp_files: Files on a VM's EFI system partition, by path.
        enabled_units: Units to start at boot, by the target that wants them.
        masked_units: Units that never start.
        links: Symbolic links by their path in the image.
        removed: Globs of what an image must not carry: keys and traces of the build.
        disk_size: A VM's disk in bytes; the root takes what partition table and ESP leave.
        esp_size: The EFI system partition in bytes.
        label: The root file system's label; grub.cfg names it.
        bundle: The digest of the bundle whose programs and container images it carries; empty: of none.
    """

    name: str
    suite: str
    architecture: str
    packages: tuple[Package, ...]
    dpkg_options: tuple[str, ...]
    install_files: Mapping[str, bytes] = field(repr=False)
    root_files: Mapping[str, bytes] = field(repr=False)
    esp_files: Mapping[str, bytes] = field(repr=False)
    enabled_units: Mapping[str, str]
    masked_units: tuple[str, ...]
    links: Mapping[str, str]
    removed: tuple[str, ...]
    disk_size: int
    esp_size: int
    label: str
    bundle: str

    @property
    def root_size(self) -> int:
        """The root file system's size: the disk less the ESP and 1 MiB at either end for the tables."""
        return self.disk_size - self.esp_size - 2 * MIB

    @property
    def tree_digest(self) -> str:
        """Names the tree of installed packages: only what mmdebstrap sees counts."""
        return _digest(
            {
                "builder": BUILDER_VERSION,
                "suite": self.suite,
                "architecture": self.architecture,
                "packages": sorted(package.name for package in self.packages),
                "dpkgOptions": self.dpkg_options,
                "files": _hashes(self.install_files),
            }
        )

    @property
    def digest(self) -> str:
        """Names the image. No mirror and no reason counts, so the same recipe is the same name anywhere."""
        return _digest(
            {
                "tree": self.tree_digest,
                "name": self.name,
                "rootFiles": _hashes(self.root_files),
                "espFiles": _hashes(self.esp_files),
                "enabledUnits": dict(self.enabled_units),
                "maskedUnits": sorted(self.masked_units),
                "links": dict(self.links),
                "removed": self.removed,
                "diskSize": self.disk_size,
                "espSize": self.esp_size,
                "label": self.label,
                "bundle": self.bundle,
            }
        )

    @property
    def image_name(self) -> str:
        """The name people see."""
        return f"{self.name}-{self.digest[:12]}"


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def _digest(content: Mapping[str, object]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_files(folder: Path) -> dict[str, bytes]:
    """Read a folder's files by their path under it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


PACKAGES: Final = (
    Package("linux-image-cloud-amd64", "signed kernel; has virtio, TPM, VXLAN, 802.1Q, IPVS, overlayfs, no SATA"),
    Package("initramfs-tools", "finds the root by its label"),
    Package("zstd", "packs the initramfs; unpacks quickly"),
    Package("shim-signed", "Secure Boot: signed by Microsoft, trusts Debian's key"),
    Package("grub-efi-amd64-signed", "Secure Boot: signed by Debian, starts the signed kernel"),
    Package("systemd", "init, networkd and journald"),
    Package("systemd-sysv", "/sbin/init, which libvirt LXC starts"),
    Package("systemd-resolved", "applies netplan's DNS servers; kubelet reads its resolv.conf"),
    Package("systemd-timesyncd", "certificates need a clock; skips itself in a container"),
    Package("dbus", "logind (a host's shutdown request), resolved"),
    Package("udev", "names a VM's NIC and loads its drivers"),
    Package("kmod", "loads modules"),
    Package("cloud-init", "reads the seed: addresses, keys, files, commands"),
    Package("cloud-guest-utils", "growpart: the root fills the machine's disk"),
    Package("e2fsprogs", "resize2fs: the root fills the machine's disk"),
    Package("netplan.io", "the seed's network plan"),
    Package("openssh-server", "the way in"),
    Package("sudo", "cloud-init's unprivileged user"),
    Package("iproute2", "ip; CNI and kubeadm call it"),
    Package("netbase", "names of protocols and ports, as rules use them"),
    Package("iputils-ping", "the first question when a network fails"),
    Package("procps", "sysctl, ps; kubeadm's preflight"),
    Package("curl", "asks the API server whether it answers"),
    Package("ca-certificates", "registries and Arc's endpoints; brings openssl, which bootstrap-node asks"),
    Package("less", "journalctl and systemctl page with it"),
    Package("containernetworking-plugins", "loopback and portmap, which Calico's network chains"),
    Package("keepalived", "holds a control plane's address"),
    Package("iptables", "kube-proxy and Calico program it; kubelet's preflight asks for it"),
    Package("nftables", "looking at what iptables made of its rules"),
    Package("ipset", "Calico's sets of addresses"),
    Package("conntrack", "kubeadm's preflight; kube-proxy clears stale UDP flows"),
    Package("ebtables", "kubeadm's preflight"),
    Package("ethtool", "kubeadm's preflight; Calico's check of checksum offload"),
    Package("socat", "kubectl port-forward"),
)

MASKED_UNITS: Final = (
    # Nodes are replaced by a newer image, not upgraded in place.
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    # No LVM snapshots to scrub.
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    # Nothing is plugged into a node that cloud-init would have to configure.
    "cloud-init-hotplugd.socket",
    # No crash store under libvirt.
    "systemd-pstore.service",
    # Mounted by hand by whoever traces; in a container they would show the host's kernel.
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    # Its partitions are growpart's; pulls in two modules even so.
    "systemd-repart.service",
    "modprobe@drm.service",
    # The console is serial; a VM needs no screen.
    "getty@tty1.service",
)

REMOVED: Final = (
    "etc/ssh/ssh_host_*",
    # mmdebstrap leaves the build machine's name and its apt options (a proxy, say) behind.
    "etc/apt/apt.conf.d/99mmdebstrap",
    "var/lib/dbus/machine-id",
    "var/cache/apt/*.bin",
    "var/cache/debconf/*-old",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/log/*.log",
    "var/log/apt/*",
    "var/lib/systemd/random-seed",
)

_UNITS: Final = {"azlocal-container.service": "sysinit.target"}
_NODE_UNITS: Final = {
    **_UNITS,
    "azlocal-node.service": "multi-user.target",
    "containerd.service": "multi-user.target",
    "kubelet.service": "multi-user.target",
}

DPKG_OPTIONS: Final = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/i18n/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/bash-completion/*",
    "path-exclude=/usr/share/grub/*",
    # The signed GRUB has its modules built in.
    "path-exclude=/usr/lib/grub/x86_64-efi/*",
)


@cache
def current_recipe(bundle: str) -> Recipe:
    """Return the recipe of the image that this version of azlocal boots, with that bundle in it.

    Without a bundle (an empty digest) it is the plain image: the same packages, so that both grow from one tree.
    """
    files = Path(__file__).parent / "files"
    return Recipe(
        name="debian-12" if bundle else "debian-12-plain",
        suite="bookworm",
        architecture="amd64",
        packages=PACKAGES,
        dpkg_options=DPKG_OPTIONS,
        install_files=read_files(files / "install"),
        root_files=read_files(files / "root"),
        esp_files=read_files(files / "esp"),
        enabled_units=_NODE_UNITS if bundle else _UNITS,
        masked_units=MASKED_UNITS,
        # Where Calico, as everyone but Debian, looks for the plugins.
        links={"opt/cni/bin": "../../usr/lib/cni"},
        removed=REMOVED,
        disk_size=16 * GIB,
        esp_size=64 * MIB,
        label="azlocal-root",
        bundle=bundle,
    )
