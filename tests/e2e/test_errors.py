"""What goes wrong on hosts: a clear error, an exit code, nothing half-made."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.instance import HOSTS, INSTANCE, MakeProject, cluster, virsh
from tests.project import Project
from tests.waiting import eventually, waits_less_than

pytestmark = pytest.mark.e2e


def set_host(project: Project, **changes: object) -> None:
    content = {**HOSTS, "hosts": [HOSTS["hosts"][0] | changes]}
    (project.directory / "hosts" / "here.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system that clones files, with room for a store and not for an image.

    Its path is short: libvirt gives a loop device no name of 64 characters or more (container-disk-path).
    """
    with tempfile.TemporaryDirectory() as top:
        device, folder = Path(top, "small.xfs"), Path(top, "small")
        folder.mkdir()
        with device.open("wb") as file:
            file.truncate(300 << 20)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(device)], check=True)
        subprocess.run(["mount", "-o", "loop", str(device), str(folder)], check=True)
        yield folder
        subprocess.run(["umount", str(folder)], check=True)


def make_room(folder: Path) -> None:
    """Let the small file system grow as it stands."""
    with folder.with_suffix(".xfs").open("ab") as file:
        file.truncate(8 << 30)
    device = subprocess.run(
        ["findmnt", "--noheadings", "--output", "SOURCE", str(folder)], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run(["losetup", "--set-capacity", device], check=True)
    subprocess.run(["xfs_growfs", str(folder)], check=True, capture_output=True)


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A file system that clones no files, and has no room for one that does; its path is short, too."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top, "tiny")
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "azlocal-test", str(folder)], check=True)
        yield folder
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_an_error_and_leaves_nothing(
    tiny_disk: Path, small_disk: Path, make_project: MakeProject
) -> None:
    project = make_project()
    set_host(project, storageDirectory=str(tiny_disk / "azlocal"))
    run = project.up()
    assert run.code != 0
    assert f"no room for machines' disks in {tiny_disk}/azlocal: " in run.output
    assert [path for path in tiny_disk.rglob("*") if not path.is_dir()] == []

    set_host(project, storageDirectory=str(small_disk))
    run = project.up()
    assert run.code != 0
    assert "No space left on device" in run.output
    assert str(small_disk) in run.output
    assert "Image" not in project.kinds()
    assert list(small_disk.rglob("image-*")) == [], "no half image"
    make_room(small_disk)
    project.up().expect()


def test_an_image_that_vanished_is_uploaded_again(make_project: MakeProject) -> None:
    project = make_project()
    project.up().expect()
    pool = f"azlocal-{INSTANCE}"
    names = subprocess.run(
        ["virsh", "-q", "vol-list", pool], check=True, capture_output=True, text=True
    ).stdout.split()
    for name in (word for word in names if word.startswith("image-")):
        subprocess.run(["virsh", "-q", "vol-delete", name, pool], check=True)
    project.edit(clusters=[cluster()])
    run = project.up()
    assert run.code != 0
    assert "pulumi refresh" in run.output, "the error says what to do"
    project.refresh().expect()
    project.up().expect()


def test_ctrl_c_ends_a_run_within_seconds_and_keeps_what_was_made(make_project: MakeProject) -> None:
    project = make_project()
    process = project.start("up", "--yes", "--skip-preview")
    eventually(lambda: domain_state() == "running", "the machine running", seconds=60)
    # A frozen machine answers nothing, so that the create waits until it is interrupted.
    virsh("suspend", f"{INSTANCE}-rb-0")
    assert domain_state() == "paused"
    with waits_less_than(50):
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode > 0, output
    assert project.kinds() >= Counter(Host=1, Network=2, Image=1)
    virsh("resume", f"{INSTANCE}-rb-0")
    project.settle().expect()
    project.up().expect()
    assert "Machine" in project.kinds()


def domain_state() -> str:
    """Return how the machine is; empty while there is none."""
    known = virsh("list", "--all", "--name").split()
    return virsh("domstate", f"{INSTANCE}-rb-0") if f"{INSTANCE}-rb-0" in known else ""
