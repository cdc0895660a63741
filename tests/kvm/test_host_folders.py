"""What goes with an instance's storage directory, and what stays because azlocal did not make it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.kvm import host_folders
from infra.kvm.errors import HostError
from infra.ssh import LocalShell

SECRET = b"a private key"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A storage directory as a killed run may leave it."""
    (tmp_path / "volumes").mkdir()
    for name in (
        "image-0123456789ab.raw",
        "image-0123456789ab.raw.complete",
        "lab-a-cp-0.raw",
        "lab-a-cp-0.qcow2",
    ):
        (tmp_path / "volumes" / name).write_text("disk")
    (tmp_path / "volumes/lab-a-cp-0-seed.iso").write_bytes(SECRET)
    (tmp_path / "data/lab-a-w-0/pvc-1").mkdir(parents=True)
    (tmp_path / "data/lab-a-w-0/pvc-1/file").write_text("of a pod")
    (tmp_path / "seeds/lab-a-cp-0").mkdir(parents=True)
    (tmp_path / "seeds/lab-a-cp-0/user-data").write_bytes(SECRET)
    return tmp_path


def test_what_azlocal_made_goes_and_its_seeds_are_overwritten_first(directory: Path) -> None:
    kept = [directory / "kept-iso", directory / "kept-file"]
    os.link(directory / "volumes/lab-a-cp-0-seed.iso", kept[0])
    os.link(directory / "seeds/lab-a-cp-0/user-data", kept[1])
    host_folders.refuse_foreign(LocalShell(), str(directory), "lab")
    for _ in range(2):
        host_folders.remove(LocalShell(), str(directory), "lab")
    assert sorted(directory.iterdir()) == sorted(kept)
    assert [SECRET in one.read_bytes() for one in kept] == [False, False]


@pytest.mark.parametrize(
    "foreign",
    [
        "volumes/thesis.txt",
        "volumes/photos/1.jpg",
        "volumes/.hidden",
        "seeds/notes.txt",
        "data/backup/file",
        "seeds/tomatoes/packet",
        "volumes/labour.txt",
        "volumes/lab-\nnotes.txt",
        "seeds/lab-$(id)/x",
    ],
)
def test_what_somebody_else_put_there_stops_the_removal_and_stays(directory: Path, foreign: str) -> None:
    file = directory / foreign
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    with pytest.raises(HostError, match=r"(volumes|seeds|data) holds files that azlocal did not make: .*Move"):
        host_folders.refuse_foreign(LocalShell(), str(directory), "lab")
    host_folders.remove(LocalShell(), str(directory), "lab")  # it came in between
    assert file.read_text() == "mine"
    assert [one for one in directory.rglob("*") if one.is_file()] == [file]
