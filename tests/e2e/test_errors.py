"""What goes wrong on hosts: a clear error, an exit code, nothing half-made."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.instance import HOSTS, INSTANCE, MakeProject, address, cluster
from tests.leftovers import leftovers
from tests.project import Project

pytestmark = pytest.mark.e2e


def set_host(project: Project, **changes: object) -> None:
    content = {**HOSTS, "hosts": [HOSTS["hosts"][0] | changes]}
    (project.directory / "hosts" / "here.yaml").write_text(yaml.safe_dump(content))


def test_a_host_that_does_not_answer_is_named_quickly(make_project: MakeProject) -> None:
    project = make_project()
    set_host(project, connection="qemu+ssh://root@127.0.0.1:1/system", managementAddress=address(0, 5))
    started = time.monotonic()
    run = project.up()
    assert run.code != 0
    assert time.monotonic() - started < 60
    assert "127.0.0.1" in run.output
    assert "Traceback" not in run.output
    set_host(project)
    assert leftovers(INSTANCE) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for the store's own structures and not for an image."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "azlocal-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_an_error_and_leaves_nothing(make_project: MakeProject, small_disk: Path) -> None:
    project = make_project()
    set_host(project, storageDirectory=str(small_disk / "azlocal"))
    run = project.up()
    assert run.code != 0
    assert "room" in run.output or "No space left" in run.output
    assert str(small_disk) in run.output
    assert not list(small_disk.rglob("*.raw"))
    set_host(project)
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
    deadline = time.monotonic() + 60
    while not virsh_state() and time.monotonic() < deadline:
        time.sleep(0.05)
    # A frozen machine answers nothing, so that the create waits until it is interrupted.
    subprocess.run(["virsh", "-q", "-c", "lxc:///system", "suspend", f"{INSTANCE}-rb-0"], check=False)
    time.sleep(2)
    interrupted = time.monotonic()
    process.send_signal(2)
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - interrupted < 10, output
    subprocess.run(["virsh", "-q", "-c", "lxc:///system", "resume", f"{INSTANCE}-rb-0"], check=False)
    project.settle().expect()
    project.up().expect()
    project.up("--expect-no-changes").expect()


def virsh_state() -> str:
    done = subprocess.run(
        ["virsh", "-q", "-c", "lxc:///system", "domstate", f"{INSTANCE}-rb-0"],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
