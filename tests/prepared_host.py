"""A machine of this project's own, used as a host that is still to be prepared: real systemd, netplan and sudo."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.kvm.ownership import Mark
from infra.kvm.preparation import Plan, PreparationFacts, Wanted, plan, read_facts
from infra.model.host import Bridge
from infra.ssh import RootShell, root_shell
from tests.instance import INSTANCE
from tests.project import Project
from tests.waiting import eventually

_CLIENT = Path(f"/etc/ssh/ssh_config.d/azlocal-test-{INSTANCE}.conf")
_STORE = "/var/lib/azlocal"
_ANSWER_SECONDS = 120.0


@dataclass(frozen=True)
class UnpreparedHost:
    """The host, by SSH and at its console.

    Attributes:
        domain: libvirt's name of it.
        address: Where its SSH server answers.
    """

    domain: str
    address: str

    @property
    def connection(self) -> str:
        """Return its libvirt address: somebody who isn't root logs in."""
        return f"qemu+ssh://azlocal@{self.address}/system"

    def reach(self) -> RootShell:
        """Open a connection of its own, as root."""
        shell = root_shell(self.connection)
        assert isinstance(shell, RootShell)
        return shell

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command as root over a new connection."""
        shell = self.reach()
        try:
            return shell.run(argv, check=check).stdout.strip()
        finally:
            shell.close()

    def has(self, path: str) -> bool:
        """Return whether there is something at the path."""
        shell = self.reach()
        try:
            return shell.exists(path)
        finally:
            shell.close()

    def look(self, wanted: Wanted) -> tuple[PreparationFacts, Plan]:
        """Return what the host has, and what it lacks."""
        shell = self.reach()
        try:
            facts = read_facts(shell, wanted, shell.login())
        finally:
            shell.close()
        return facts, plan(facts, wanted)

    def addresses(self) -> dict[str, list[str]]:
        """Return the addresses of its interfaces, without loopback."""
        links = self.look(wanted("nobody"))[0].links.values()
        return {link.name: [one.text for one in link.global_addresses] for link in links if link.global_addresses}

    def wait(self) -> None:
        """Wait until it answers."""
        login = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", f"azlocal@{self.address}", "true"]

        def answers() -> bool:
            return subprocess.run(login, capture_output=True, check=False).returncode == 0

        eventually(answers, "an answer of the host", _ANSWER_SECONDS, every=0.5)

    def boot(self) -> None:
        """Cut its power and switch it on again (a container)."""
        for verb in ("destroy", "start"):
            subprocess.run(["virsh", "-q", "-c", "lxc:///system", verb, self.domain], check=True)
        self.wait()

    @contextmanager
    def clone_store(self, folder: Path) -> Iterator[Callable[[], None]]:
        """Yield a function that mounts a file system with reflinks where azlocal keeps disks, as after each boot.

        A container has no loop devices for a file system of its own.
        """
        image = folder / "store.xfs"
        with image.open("wb") as file:
            file.truncate(2 << 30)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
        attach = ["losetup", "--find", "--show", str(image)]
        device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()

        def mount() -> None:
            self._console("mkdir", "-p", _STORE)
            self._console("rm", "-f", "/tmp/store")
            self._console("mknod", "/tmp/store", "b", "7", device.removeprefix("/dev/loop"))
            self._console("mount", "/tmp/store", _STORE)

        try:
            yield mount
            self._console("umount", _STORE)
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)

    def _console(self, *argv: str) -> None:
        init = subprocess.run(
            ["virsh", "-q", "-c", "lxc:///system", "domid", self.domain],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
        subprocess.run(["nsenter", "--target", children[0], "--mount", "--", *argv], check=True)


@contextmanager
def unprepared_host(project: Project, machine: str) -> Iterator[UnpreparedHost]:
    """Yield a running machine as a host; OpenSSH (and so libvirt and azlocal) is told its keys meanwhile."""
    known = project.outputs()["machines"][machine]
    pinned = project.directory / "host_key"
    pinned.write_text(f"{known['address']} {known['sshHostKey']}\n")
    _CLIENT.parent.mkdir(exist_ok=True)
    _CLIENT.write_text(
        f"# azlocal's tests, removed by them\nHost {known['address']}\n"
        f"    IdentityFile {project.directory.parent / 'id_ed25519'}\n"
        f"    GlobalKnownHostsFile {pinned}\n"
    )
    host = UnpreparedHost(machine, known["address"])
    try:
        host.wait()
        yield host
    finally:
        _CLIENT.unlink()


def wanted(instance: str, *bridges: Bridge, uplink: str = "eth0") -> Wanted:
    """Return what an instance named so wants of the host."""
    return Wanted(instance, Mark(instance, instance, "test"), uplink=uplink, bridges=bridges)
