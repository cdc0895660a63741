"""How this machine reaches a lab's hosts: a key, known host keys, and OpenSSH told of both, for them only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from infra.guest import generate_host_key
from infra.lab.host import LabHost
from infra.lab.marks import client_config, folder

_SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"


def key_file(lab: str) -> Path:
    """Return the private key that opens every host of the lab."""
    return folder(lab) / "id_ed25519"


def known_hosts(lab: str) -> Path:
    """Return the file with the hosts' own keys."""
    return folder(lab) / "known_hosts"


def make_key(lab: str) -> str:
    """Make that key, for whoever called (through sudo, perhaps); return the public one."""
    key, path = generate_host_key(), key_file(lab)
    path.touch(mode=0o600)
    path.write_text(key.private_openssh)
    path.with_suffix(".pub").write_text(f"{key.public_openssh} lab {lab}\n")
    os.chown(path, int(os.environ.get("SUDO_UID", -1)), int(os.environ.get("SUDO_GID", -1)))
    return key.public_openssh


def write_known_hosts(lab: str, hosts: Iterable[LabHost]) -> None:
    """Pin the keys that the hosts have on their disks."""
    known_hosts(lab).write_text("".join(f"{host.address} {host.host_key}\n" for host in hosts))


def write_client_config(lab: str, hosts: Iterable[LabHost]) -> None:
    """Tell OpenSSH, and so libvirt and azlocal, too. Nobody's own ~/.ssh is touched, and it goes first."""
    lines = [f"# azlocal lab {lab}: written by tests/lab, removed with the lab"]
    for host in hosts:
        lines += [
            f"Host {host.address} {lab}-{host.name}",
            f"    HostName {host.address}",
            "    User root",
            f"    IdentityFile {key_file(lab)}",
            f"    GlobalKnownHostsFile {_SYSTEM_KNOWN_HOSTS} {known_hosts(lab)}",
        ]
    path = client_config(lab)
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o644)
