"""Real machines on this machine's libvirt: one small instance per test, proven gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.image import build_command, find_node_image
from infra.kvm.claim import TAKE_OVER, read_claim
from infra.lab.groups import prefer
from infra.model.image import NodeImageKind
from infra.spec.hosts import DEFAULT_STORAGE_DIRECTORY
from infra.ssh import LocalShell
from tests.emptiness import emulators, leftovers
from tests.kept import kept_folder, take_away_others
from tests.project import ROOT, Project
from tests.waiting import eventually

# Another name, another pair of subnets: so that two runs on one machine don't meet, nor two workers of one run.
_RUN = os.environ.get("AZLOCAL_TEST_INSTANCE", "e2e")
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
INSTANCE = _RUN + _WORKER
QEMU = "qemu:///system"
STRANGER = f"stranger-{INSTANCE}"
"""A libvirt network that no instance made."""
_THIRD = 180 + (zlib.crc32(_RUN.encode()) + int(_WORKER or 0)) % 35 * 2


def address(network: int, host: int) -> str:
    """Return an address in the infrastructure network (0) or the logical network (1) of these tests."""
    return f"192.168.{_THIRD + network}.{host}"


NETPLAN: dict[str, Any] = {
    "infrastructure": {
        "addressPrefix": f"{address(0, 0)}/24",
        "gateway": address(0, 1),
        "dnsServers": [address(0, 1)],
        "pool": {"start": address(0, 20), "end": address(0, 30)},
    },
    "logicalNetworks": [
        {
            "name": "aks",
            "addressPrefix": f"{address(1, 0)}/24",
            "gateway": address(1, 1),
            "dnsServers": [address(1, 1)],
            "ipPools": [{"start": address(1, 20), "end": address(1, 60), "ipPoolType": "vm"}],
        }
    ],
}
HOSTS: dict[str, Any] = {
    "hosts": [{"name": "here", "connection": "qemu:///system"}],
    "vmSizes": {
        "Tiny": {"vcpus": 1, "memoryGiB": 1, "diskGiB": 16},
        "Node": {"vcpus": 2, "memoryGiB": 3, "diskGiB": 20},
    },
}


def node_image(clusters: Sequence[Mapping[str, Any]]) -> str:
    """Return the smallest image that these clusters can do with: a quarter of the other to copy to a host."""
    return "plain" if all(one["provisioning"] == "machines" for one in clusters) else "kubernetes"


def cluster(workers: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the machines of a cluster, one control plane and a pool of workers, without Kubernetes on them."""
    return {
        "name": "a",
        "logicalNetwork": "aks",
        "controlPlane": {"count": 1, "vmSize": "Tiny"},
        "agentPools": [{"name": "pool1", "count": workers, "vmSize": "Tiny"}],
        "loadBalancer": {"count": 0},
        "provisioning": "machines",
    } | changes


def require_image(kind: NodeImageKind) -> None:
    """Skip the test where the image that its machines boot isn't built."""
    if find_node_image(kind) is None:
        pytest.skip(f"the {kind} image isn't built; run `{build_command(kind)}`")


@pytest.fixture(scope="session", autouse=True)
def hypervisor() -> Iterator[None]:
    """Have libvirt answer, as `make up` does."""
    if os.geteuid() != 0:
        pytest.skip("needs root: machines are made by the system's libvirt")
    azlocal = str(ROOT / ".venv" / "bin" / "azlocal")
    subprocess.run([azlocal, "hypervisor", "start"], check=True)
    _prefer_machines()
    _end_left_emulators()
    yield
    # The others' machines may still run: whoever started the workers, or says that more runs come, stops it.
    if not _WORKER and not os.environ.get("AZLOCAL_TEST_KEEP_HYPERVISOR"):
        subprocess.run([azlocal, "hypervisor", "stop"], check=True)


def _prefer_machines() -> None:
    """Give libvirt's machines together more of the processors, where no systemd shares them out."""
    for shares in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu,cpuacct")):
        if (shares / "cpu.shares").exists() and not (shares / "machine.slice").exists():
            (shares / "machine").mkdir(exist_ok=True)  # as libvirt calls it
            prefer(shares / "machine")


def _end_left_emulators() -> None:
    """End what a killed run left beside machines: those the first `up` takes over, and its `destroy` removes."""
    for pid in emulators(INSTANCE):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    eventually(lambda: not emulators(INSTANCE), "the end of emulators that a killed run left", 10)


MakeProject = Callable[..., Project]


@contextmanager
def projects(folder: Path, *, shared: bool = False) -> Iterator[MakeProject]:
    """Yield a function that makes a project in a folder; what it made is destroyed at the end, and proven gone.

    Args:
        folder: for this run alone.
        shared: whether all tests of a file share the one project, which may then be kept (see tests/kept.py).
    """
    kept = kept_folder(INSTANCE, folder) if shared else None
    take_away_others(INSTANCE, kept)
    folder = kept or folder
    key = folder / "id_ed25519"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    made: list[Project] = []

    def make(**config: Any) -> Project:
        project = Project(folder / "project", INSTANCE)
        defaults = {
            "site": "here",
            "machineType": "container",
            "nodeImage": node_image(config.get("clusters", [])),
            "resourceBridge": {"vmSize": "Tiny"},
            "sshPublicKeys": [f"{key}.pub"],
            "clusters": [],
        } | config
        require_image(defaults["nodeImage"])
        if project.exists():
            project.edit(**defaults)
            return project
        project.write(config=defaults, hosts=HOSTS, netplan=NETPLAN)
        project.init()
        left = read_claim(LocalShell(), f"{DEFAULT_STORAGE_DIRECTORY}/{INSTANCE}")
        if left is not None:  # by a run that was killed; nobody else has instances of this name
            project.environment[TAKE_OVER] = left.id
        made.append(project)
        return project

    if kept:
        yield make
        return
    try:
        yield make
    finally:
        for project in made:
            project.reap()  # a test that was interrupted may have left its command running
            if not project.is_empty() or leftovers(INSTANCE):  # else the test has destroyed it
                project.settle("--before-destroy").expect()
                project.destroy().expect()
    assert leftovers(INSTANCE) == []


@pytest.fixture
def make_project(tmp_path: Path) -> Iterator[MakeProject]:
    """Return a function that makes a project for one test."""
    with projects(tmp_path) as make:
        yield make


def virsh(*command: str, uri: str = "lxc:///system") -> str:
    return subprocess.run(
        ["virsh", "-q", "-c", uri, *command], check=True, capture_output=True, text=True
    ).stdout.strip()


def libvirt(command: str, xml: str) -> None:
    """Give libvirt an object's XML."""
    subprocess.run(["virsh", "-q", "-c", QEMU, command, "/dev/stdin"], input=xml.encode(), check=True)


@contextmanager
def stranger() -> Iterator[None]:
    """Have a network that no instance made: libvirt is in use, and a `down` leaves it to the other tests."""
    libvirt("net-define", f"<network><name>{STRANGER}</name><bridge name='azls-{INSTANCE}'/></network>")
    try:
        virsh("net-start", STRANGER, uri=QEMU)
        yield
    finally:
        subprocess.run(["virsh", "-q", "-c", QEMU, "net-destroy", STRANGER], check=False)
        virsh("net-undefine", STRANGER, uri=QEMU)


def domain_uuid(name: str) -> str:
    """Return by what a container is known from another of its name."""
    return virsh("domuuid", name)


def power_off(machine: str) -> None:
    """Stop a container as a power cut does. On a busy machine libvirt gives up before many processes are gone."""
    destroy = ["virsh", "-q", "-c", "lxc:///system", "destroy", machine]

    def is_off() -> bool:
        subprocess.run(destroy, capture_output=True, check=False)
        return virsh("domstate", machine) == "shut off"

    eventually(is_off, f"{machine} is off", 60, every=1)


def steps(preview: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [step for step in preview["steps"] if step["urn"].endswith(f"::{name}") and step["op"] != "same"]


def on(project: Project, machine: str, *command: str, stdin: str | None = None) -> str:
    """Run a command on a machine over SSH, as a user would, checking the host key that the stack names."""
    return on_known(project, project.outputs()["machines"][machine], *command, stdin=stdin)


def use_key(folder: Path, key: Path) -> None:
    """Have `on` log in with another key, whose private half beside its public one is a copy from now on."""
    for suffix in ("", ".pub"):
        shutil.copy(key.with_suffix(suffix), folder / f"id_ed25519{suffix}")


def on_known(project: Project, known: Mapping[str, Any], *command: str, stdin: str | None = None) -> str:
    """Run a command on a machine that the stack's outputs told of, while an `up` writes them again."""
    hosts = project.directory / "known_hosts"
    hosts.write_text(f"{known['address']} {known['sshHostKey']}\n")
    ssh = ["ssh", "-i", str(project.directory.parent / "id_ed25519"), "-o", f"UserKnownHostsFile={hosts}"]
    ssh += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
    done = subprocess.run(
        [*ssh, f"azlocal@{known['address']}", *command], input=stdin, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
