"""A lab: KVM hosts on this one machine, joined by a switch that this machine is plugged into, too."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from infra.counting import counted
from infra.kvm.daemon import grant_kvm
from infra.lab import client, disk, groups, wire
from infra.lab.host import LabHost
from infra.lab.leftovers import lab_leftovers, loop_devices
from infra.lab.marks import (
    CONTROLLER,
    FIRST_HOST,
    FOLDER,
    MOST_HOSTS,
    LabError,
    check_name,
    client_config,
    folder,
)

DEFAULT_MTU: Final = 1500
_LOCK: Final = Path("/run/azlocal-lab.lock")
_DESCRIPTION: Final = "lab.json"
_LOOPS_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Lab:
    """Hosts and the network that joins them."""

    name: str
    subnet: IPv4Network
    hosts: tuple[LabHost, ...]

    @property
    def controller_address(self) -> IPv4Address:
        """Return this machine's address on the lab's network."""
        return self.subnet[CONTROLLER]

    def host(self, name: str) -> LabHost:
        """Return the host of that name."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(
            f"lab {self.name} has no host {name}; its hosts: {', '.join(other.name for other in self.hosts)}"
        )

    def pin_host_keys(self) -> None:
        """Have this machine expect the keys that the hosts have now."""
        client.write_known_hosts(self.name, self.hosts)

    def destroy(self) -> None:
        """Take everything away.

        Raises:
            LabError: something of it still stands.
        """
        remove(self.name)


def start(name: str, hosts: int = 2, *, mtu: int = DEFAULT_MTU) -> Lab:
    """Make a lab and switch its hosts on; what an earlier, killed run left under that name goes first.

    Args:
        hosts: how many; they are called node1, node2 ….
        mtu: of every cable and the switch.

    Raises:
        LabError: it can't be made; the message has the reason, and what was made stands to be looked at.
    """
    check_name(name)
    if os.geteuid() != 0:
        raise LabError("a lab is made of namespaces, loop devices and mounts, so only root makes one: use sudo")
    if not 1 <= hosts <= MOST_HOSTS:
        raise LabError(f"{counted(hosts, 'host')}: a lab has 1 to {MOST_HOSTS}, as an Azure Local instance")
    remove(name)
    grant_kvm()
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    with _lock():  # two labs must not choose one subnet
        subnet = wire.choose_subnet(name)
        wire.make_switch(name, subnet, mtu)
    folder(name).mkdir(mode=0o755)
    lab = Lab(name, subnet, tuple(_hosts(name, subnet, hosts, mtu)))
    _describe(lab)
    key = client.make_key(name)
    _at_once([_installed(host, key) for host in lab.hosts])
    lab.pin_host_keys()
    client.write_client_config(name, lab.hosts)
    _at_once([host.wait_until_ready for host in lab.hosts])
    return lab


@contextmanager
def reserved_name(start: str) -> Iterator[str]:
    """Yield the first of `start`1, `start`2 … that no other process has reserved; a process's end frees it."""
    for number in itertools.count(1):
        with Path(f"/run/azlocal-lab-{start}{number}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"{start}{number}"
            return


def find(name: str) -> Lab | None:
    """Return a lab that was made earlier, None where there is none."""
    try:
        description = json.loads((folder(check_name(name)) / _DESCRIPTION).read_text())
    except FileNotFoundError:
        return None
    subnet = IPv4Network(description["subnet"])
    return Lab(name, subnet, tuple(_hosts(name, subnet, description["hosts"], description["mtu"])))


def known() -> list[str]:
    """Return the names of the labs on this machine."""
    return sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []


def remove(name: str) -> None:
    """Take away whatever there is of a lab, in whatever state.

    Raises:
        LabError: something of it still stands.
    """
    places = [folder(name), *groups.standing(name)]
    hosts = {path.name for place in places if place.is_dir() for path in place.iterdir() if path.is_dir()}
    _at_once([LabHost(name, host, IPv4Address(0), 0, DEFAULT_MTU).power_off for host in hosts])
    wire.remove_switch(name)
    _wait_for_loops(name)
    client_config(name).unlink(missing_ok=True)
    if folder(name).exists():
        shutil.rmtree(folder(name))
    left = lab_leftovers(name)
    if left:
        raise LabError(f"lab {name} isn't gone: {'; '.join(left)}")


def _hosts(lab: str, subnet: IPv4Network, count: int, mtu: int) -> Iterator[LabHost]:
    for number in range(count):
        yield LabHost(lab, f"node{number + 1}", subnet[FIRST_HOST + number], subnet.prefixlen, mtu)


def _describe(lab: Lab) -> None:
    description = {"subnet": str(lab.subnet), "hosts": len(lab.hosts), "mtu": lab.hosts[0].mtu}
    (folder(lab.name) / _DESCRIPTION).write_text(json.dumps(description))


def _installed(host: LabHost, key: str) -> Callable[[], None]:
    def install() -> None:
        disk.make_disk(host.lab, host.name, str(host.address), key)
        host.begin_power_on()

    return install


def _wait_for_loops(lab: str) -> None:
    """The kernel lets a loop device go some moments after its last mount."""
    deadline = time.monotonic() + _LOOPS_SECONDS
    while left := loop_devices(lab):
        if time.monotonic() > deadline:
            raise LabError(f"lab {lab}: {'; '.join(left)} after its hosts are off; who has it mounted?")
        time.sleep(0.05)


def _at_once(actions: Iterable[Callable[[], None]]) -> None:
    """Do things at the same time; the first failure is raised when all have ended."""
    listed = list(actions)
    with ThreadPoolExecutor(MOST_HOSTS) as pool:
        for future in [pool.submit(action) for action in listed]:
            future.result()


@contextmanager
def _lock() -> Iterator[None]:
    with _LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
