"""Sixteen small machines on one host: `pulumi up` against raw libvirt calls in sixteen threads.

Both start from the same prepared host (pool, network, uploaded image) and end when SSH answers
with the expected host key on all sixteen. The yardstick is what a careful script would do.
"""

from __future__ import annotations

import random
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import libvirt

from bench.by_hand import domain_xml
from bench.result import Ratio
from infra.guest import Seed, generate_host_key
from infra.model.first_boot import FirstBoot
from infra.model.machine_traits import TRAITS
from tests.instance import HOSTS, NETPLAN, address, cluster
from tests.project import ROOT, Project

MACHINES = 16
PAIRS = 3
INSTANCE = "bench"


def parallel_machines() -> Ratio:
    """Run both ways in turn and return the ratios."""
    azlocal = str(ROOT / ".venv" / "bin" / "azlocal")
    subprocess.run([azlocal, "image", "build"], check=True)
    subprocess.run([azlocal, "hypervisor", "start"], check=True)
    ours: list[float] = []
    raw: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        project = Project(Path(folder) / "project", INSTANCE)
        config = {
            "site": "here",
            "machineType": "container",
            "resourceBridge": {"vmSize": "Tiny"},
            "sshPublicKeys": [f"{key}.pub"],
            "clusters": [],
        }
        project.write(config=config, hosts=HOSTS, netplan=NETPLAN)
        project.init()
        try:
            project.up().expect()  # host, networks, image and one machine: not part of the comparison
            public_key = Path(f"{key}.pub").read_text().strip()
            for _ in range(PAIRS):
                raw.append(_raw(public_key))
                project.edit(clusters=[cluster(workers=MACHINES - 1)])
                ours.append(_timed(project))
                project.edit(clusters=[])
                project.up().expect()
        finally:
            project.destroy().expect()
    subprocess.run([azlocal, "hypervisor", "stop"], check=True)
    return Ratio(f"{MACHINES} machines, pulumi up / raw libvirt in {MACHINES} threads", ours, raw, limit=1.3)


def _timed(project: Project) -> float:
    started = time.monotonic()
    project.up("--parallel", "64").expect()
    return time.monotonic() - started


# -- the yardstick: nothing of infra.kvm ----------------------------------------------------------


def _raw(public_key: str) -> float:
    with tempfile.TemporaryDirectory() as seeds, ThreadPoolExecutor(MACHINES) as threads:
        started = time.monotonic()
        try:
            list(threads.map(lambda number: _raw_machine(number, Path(seeds), public_key), range(MACHINES)))
            return time.monotonic() - started
        finally:
            list(threads.map(_raw_remove, range(MACHINES)))


def _raw_machine(number: int, seeds: Path, public_key: str) -> None:
    connection = libvirt.open("lxc:///system")
    pool = connection.storagePoolLookupByName(f"azlocal-{INSTANCE}")
    names = [volume.name() for volume in pool.listAllVolumes()]
    image = next(name for name in names if name.startswith("image-") and name.endswith(".raw"))
    name, own = f"raw-{number}", address(1, 100 + number)
    volume = pool.createXMLFrom(
        f"<volume><name>{name}.raw</name><capacity unit='GiB'>16</capacity><allocation>0</allocation></volume>",
        pool.storageVolLookupByName(image),
        libvirt.VIR_STORAGE_VOL_CREATE_REFLINK,
    )
    host_key = generate_host_key()
    boot = FirstBoot(
        hostname=name,
        address=f"{own}/24",
        gateway=address(1, 1),
        dns_servers=[address(1, 1)],
        authorized_keys=[public_key],
    )
    folder = seeds / name
    folder.mkdir()
    for file, content in Seed(name, boot, TRAITS["container"]).render(host_key).items():
        (folder / file).write_bytes(content)
    domain = connection.defineXML(
        domain_xml(name, disk=volume.path(), seed=folder, network=f"{INSTANCE}-aks", memory_mib=1024, vcpus=1)
    )
    for attempt in range(10):
        try:
            domain.create()
            break
        except libvirt.libvirtError as error:
            # libvirt_lxc gives up when another took its loop device; a careful script tries again.
            if attempt == 9 or "loop device" not in str(error):
                raise
            time.sleep(random.uniform(0.05, 0.3))
    _wait_for_ssh(own, host_key.public_openssh)


def _wait_for_ssh(address: str, public_key: str) -> None:
    for _ in range(600):
        try:
            socket.create_connection((address, 22), timeout=1).close()
        except OSError:
            time.sleep(0.2)
            continue
        scan = subprocess.run(
            ["ssh-keyscan", "-T", "5", "-t", "ed25519", address], capture_output=True, text=True, check=False
        )
        if public_key.split()[1] in scan.stdout:
            return
    raise TimeoutError(address)


def _raw_remove(number: int) -> None:
    connection = libvirt.open("lxc:///system")
    for domain in connection.listAllDomains():
        if domain.name() == f"raw-{number}":
            if domain.isActive():
                domain.destroy()
            domain.undefine()
    pool = connection.storagePoolLookupByName(f"azlocal-{INSTANCE}")
    for volume in pool.listAllVolumes():
        if volume.name() == f"raw-{number}.raw":
            volume.delete()
