"""Containers start whatever the lengths of their paths: libvirt_lxc gives their first process a small stack."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from infra.kvm.container import Container
from infra.kvm.domain_xml import MachineDefinition
from infra.kvm.ownership import Mark
from infra.model.local_libvirt import LXC, QEMU
from tests.instance import INSTANCE

pytestmark = pytest.mark.e2e

INIT = "usr/lib/azlocal/container-init"
LENGTHS = (28, 37, 39, 41)
"""Of the paths of root files; without a description, libvirt 9.0 didn't start those of 37 and 39."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root file system that has one program, which waits for what its console never says."""
    folder = tmp_path_factory.mktemp("root")
    root = folder / "root"
    libraries = [
        word for word in subprocess.check_output(["ldd", "/bin/cat"], text=True).split() if word[0] == "/"
    ]
    for source, target in [("/bin/cat", INIT), *((one, one.lstrip("/")) for one in libraries)]:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / target)
    for one in ("dev", "proc", "sys", "var/lib/cloud/seed/nocloud"):
        (root / one).mkdir(parents=True)
    file = folder / "root.raw"
    with file.open("wb") as content:
        content.truncate(16 << 20)
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-F", "-d", str(root), str(file)], check=True)
    return file


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a short path."""
    path = Path("/var/tmp") / uuid.uuid4().hex[:4]
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """Return a network: a machine has one, and what libvirt_lxc has on its heap depends on it."""
    name = f"{INSTANCE}-x"
    connection = libvirt.open(QEMU)
    made = connection.networkCreateXML(
        f"<network><name>{name}</name><bridge name='azl-{name}' stp='off' delay='0'/></network>"
    )
    yield name
    made.destroy()
    connection.close()


@pytest.mark.parametrize("length", LENGTHS)
def test_a_container_starts(image: Path, folder: Path, network: str, length: int) -> None:
    name = f"{INSTANCE}-x-0"
    disk = folder / f"{'d' * (length - len(str(folder)) - 5)}.raw"
    shutil.copy(image, disk)
    (folder / "seed").mkdir()
    assert len(str(disk)) == length
    definition = MachineDefinition(
        name=name,
        mark=Mark(INSTANCE, INSTANCE, f"urn:pulumi:{INSTANCE}::azlocal::azlocal:index:Machine::{name}"),
        vcpus=1,
        memory_mib=64,
        network=network,
        mac_address="52:54:00:11:22:33",
        secure_boot=False,
        tpm=False,
        record={"image": "image-0123456789ab.raw", "padding": "r" * 200},
    )
    xml = Container.to_xml(definition, disk=str(disk), seed=str(folder / "seed"), host_memory_mib=128)
    connection = libvirt.open(LXC)
    domain = connection.createXML(xml)
    try:
        assert domain.isActive()
    finally:
        domain.destroy()
        connection.close()
