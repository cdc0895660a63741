"""A lab host's first process: mounts, network, daemons; then it collects the dead until the power is cut.

Runs in namespaces of its own (mounts, network, processes, name, groups), where it is process 1: killing it from
outside kills everything that ever started in the host. Only the standard library.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from infra.lab import groups

NIC: Final = "eno1"
DAEMONS: Final = {
    "virtlogd": ("/usr/sbin/virtlogd", "--daemon", "--pid-file", "/run/virtlogd.pid"),
    "libvirtd": ("/usr/sbin/libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid"),
    "sshd": ("/usr/sbin/sshd", "-E", "/var/log/sshd.log"),
}
"""In this order: who can log in finds libvirt there."""

ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""A host's: it has nothing of the environment of whoever switches it on, such as a passphrase."""

_READ_ONLY: Final = ("usr", "var/lib/dpkg")
_CABLE_SECONDS: Final = 20.0


def main(host: str, disk: str, address: str, mtu: str) -> None:
    """Be the host; `address` has its subnet's length."""
    socket.sethostname(host)
    mount_all(Path(disk))
    connect(address, mtu)
    for daemon in DAEMONS.values():
        run(*daemon)
    collect()


def mount_all(root: Path) -> None:
    """Make the host's disk the root, with what a kernel and an installed system add; let this machine's go."""
    run("mount", "--bind", str(root), str(root))
    for name in _READ_ONLY:
        run("mount", "--bind", f"/{name}", str(root / name))
        run("mount", "-o", "remount,bind,ro", str(root / name))
    run("mount", "--rbind", "/dev", str(root / "dev"))
    run("mount", "-t", "proc", "proc", str(root / "proc"))
    run("mount", "-t", "sysfs", "sysfs", str(root / "sys"))
    for name, mode in (("run", "755"), ("tmp", "1777")):
        run("mount", "-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", str(root / name))
    groups.mount_own(str(root / "sys/fs/cgroup"))
    os.chdir(root)
    run("pivot_root", ".", "mnt")
    os.chdir("/")
    run("umount", "--lazy", "/mnt")
    run("mount", "--make-rshared", "/")  # as systemd has it
    for name in ("lock", "sshd"):
        Path("/run", name).mkdir()


def connect(address: str, mtu: str) -> None:
    """Wait for the cable, then take the address."""
    run("ip", "link", "set", "lo", "up")
    deadline = time.monotonic() + _CABLE_SECONDS
    while not Path("/sys/class/net", NIC).exists():
        if time.monotonic() > deadline:
            sys.exit(f"nobody plugs in {NIC}")
        time.sleep(0.01)
    run("ip", "link", "set", NIC, "mtu", mtu, "up")
    run("ip", "address", "add", address, "dev", NIC)


def collect() -> None:
    """Wait for every process whose parent is gone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


def run(*argv: str) -> None:
    """Run a command; what it says is in the host's boot log."""
    subprocess.run(argv, check=True, env=ENVIRONMENT, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    main(*sys.argv[2:])
