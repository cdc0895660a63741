"""A host's disk: a folder with its own /etc, /var and /root. Programs are this machine's, and can't be changed."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Final

from infra.guest import generate_host_key
from infra.lab.marks import folder

_HOST_KEY: Final = "etc/ssh/ssh_host_ed25519_key"
_EMPTY: Final = (
    "usr", "dev", "proc", "sys", "run", "mnt", "home", "opt", "srv",
    "var/cache/libvirt/qemu", "var/lib/azlocal", "var/lib/dpkg", "var/log/libvirt",
)  # fmt: skip
_LIKE_HERE: Final = ("tmp", "var/tmp", "var/lib/libvirt", "var/lib/libvirt/qemu", "var/lib/swtpm-localca")
# Of /etc: what a host has of its own. libvirt's goes and comes with each machine, also while the rest is copied.
_NOT_COPIED: Final = frozenset({"libvirt", "ssh", "netplan", "resolv.conf", "hostname", "hosts"})
_SSHD: Final = (
    f"HostKey /{_HOST_KEY}",
    "PermitRootLogin prohibit-password",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PidFile /run/sshd.pid",
    "UseDNS no",
    "Subsystem sftp internal-sftp",
)
_NO_SECURITY_DRIVER: Final = 'security_driver = "none"\n'  # AppArmor's profiles are the whole kernel's


def make_disk(lab: str, host: str, address: str, public_key: str) -> Path:
    """Install a host: it will let the key's owner in as root. Return its disk."""
    root = folder(lab) / host
    for name in _EMPTY:
        (root / name).mkdir(parents=True)
    for name in _LIKE_HERE:
        _make_like_here(root, name)
    for name in ("bin", "sbin", "lib", "lib64", "var/run", "var/lock"):
        here = Path("/", name)
        if here.is_symlink():
            (root / name).symlink_to(here.readlink())
    _copy_settings(root / "etc")
    _configure(root, host, address, public_key)
    _take_over_probes(root)
    return root


def _copy_settings(etc: Path) -> None:
    etc.mkdir()
    copied = [str(entry) for entry in Path("/etc").iterdir() if entry.name not in _NOT_COPIED]
    subprocess.run(["cp", "--archive", f"--target-directory={etc}", "--", *copied], check=True)


def renew_host_key(disk: Path) -> str:
    """Give the host another SSH host key, as reinstalling it would; return the public one."""
    key = generate_host_key()
    path = disk / _HOST_KEY
    path.touch(mode=0o600)
    path.write_text(key.private_openssh)
    path.with_suffix(".pub").write_text(f"{key.public_openssh}\n")
    return key.public_openssh


def host_key(disk: Path) -> str:
    """Return the host's public SSH host key."""
    return (disk / f"{_HOST_KEY}.pub").read_text().strip()


def _configure(root: Path, host: str, address: str, public_key: str) -> None:
    etc = root / "etc"
    (etc / "hostname").write_text(f"{host}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{address} {host}\n")
    (etc / "resolv.conf").write_text(Path("/etc/resolv.conf").read_text())  # here it may be a link into /run
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    (etc / "ssh").mkdir()
    (etc / "ssh/sshd_config").write_text("".join(f"{line}\n" for line in _SSHD))
    renew_host_key(root)
    (root / "root/.ssh").mkdir(mode=0o700, parents=True)
    (root / "root").chmod(0o700)
    (root / "root/.ssh/authorized_keys").write_text(f"{public_key}\n")
    (etc / "libvirt").mkdir()
    # One board, many hosts: without an identity of its own a host would take another's guests for its own.
    (etc / "libvirt/libvirtd.conf").write_text(f'host_uuid = "{uuid.uuid4()}"\n')
    for name in ("qemu.conf", "lxc.conf"):
        (etc / "libvirt" / name).write_text(_NO_SECURITY_DRIVER)
    _unlock_root(etc / "shadow")


def _unlock_root(shadow: Path) -> None:
    """Without PAM sshd refuses an account whose password is locked, as some systems have it for root."""
    lines = shadow.read_text().splitlines()
    shadow.write_text("".join(f"{':'.join(_unlocked(line.split(':')))}\n" for line in lines))


def _unlocked(entry: list[str]) -> list[str]:
    return [entry[0], "*", *entry[2:]] if entry[0] == "root" else entry


def _take_over_probes(root: Path) -> None:
    """Copy what libvirt here knows of QEMU; it checks itself whether that still holds. Saves a host a second."""
    known = Path("/var/cache/libvirt/qemu/capabilities")
    if known.is_dir():
        shutil.copytree(known, root / "var/cache/libvirt/qemu/capabilities")


def _make_like_here(root: Path, name: str) -> None:
    (root / name).mkdir(parents=True, exist_ok=True)
    here = Path("/", name)
    if here.is_dir():
        about = here.stat()
        shutil.chown(root / name, about.st_uid, about.st_gid)
        (root / name).chmod(about.st_mode & 0o7777)
