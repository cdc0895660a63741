"""Whatever somebody removed behind the stack's back, `down` ends, and nothing is left."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.emptiness import leftovers
from tests.instance import INSTANCE, MakeProject, virsh
from tests.project import Project

pytestmark = pytest.mark.e2e

BRIDGE, POOL, QEMU = f"{INSTANCE}-rb-0", f"azlocal-{INSTANCE}", "qemu:///system"
STORE = Path("/var/lib/azlocal") / INSTANCE


def machine() -> None:
    virsh("destroy", BRIDGE)
    virsh("undefine", BRIDGE)


def disk() -> None:
    (name,) = (one for one in volumes() if BRIDGE in one)
    virsh("vol-delete", name, "--pool", POOL, uri=QEMU)


def image() -> None:
    for name in (one for one in volumes() if BRIDGE not in one):
        virsh("vol-delete", name, "--pool", POOL, uri=QEMU)


def volumes() -> list[str]:
    return [line.split()[0] for line in virsh("vol-list", POOL, uri=QEMU).splitlines() if line.strip()]


def networks() -> None:
    for name in ("infrastructure", "aks"):
        virsh("net-destroy", f"{INSTANCE}-{name}", uri=QEMU)
        virsh("net-undefine", f"{INSTANCE}-{name}", uri=QEMU)


def pool() -> None:
    virsh("pool-destroy", POOL, uri=QEMU)
    virsh("pool-undefine", POOL, uri=QEMU)


def store() -> None:
    if STORE.is_mount():
        subprocess.run(["umount", "--lazy", str(STORE)], check=True)
    shutil.rmtree(STORE)
    STORE.with_suffix(".xfs").unlink(missing_ok=True)


def claim() -> None:
    STORE.with_suffix(".owner").unlink()


def inventory() -> None:
    STORE.with_suffix(".inventory").unlink()


def boot() -> None:
    """Do what a host's boot does where no systemd mounts the store."""
    virsh("destroy", BRIDGE)
    virsh("pool-destroy", POOL, uri=QEMU)
    if STORE.is_mount():
        subprocess.run(["umount", str(STORE)], check=True)


EACH: tuple[Callable[[], None], ...] = (machine, disk, image, networks, pool, store, claim, inventory, boot)
"""What a stack without clusters makes, each as somebody would remove it; and a boot, which takes more away."""


def gone(project: Project, removals: Iterable[Callable[[], None]]) -> None:
    project.up().expect()
    for remove in removals:
        remove()


@pytest.mark.parametrize("removal", EACH)
def test_down_ends_with_nothing_left(make_project: MakeProject, removal: Callable[[], None]) -> None:
    project = make_project(clusters=[])
    gone(project, [removal])
    project.destroy().expect()
    assert leftovers(INSTANCE) == []


def test_down_ends_when_all_of_it_is_gone_and_refresh_says_so(make_project: MakeProject) -> None:
    project = make_project(clusters=[])
    gone(project, (machine, disk, image, networks, pool, store, claim, inventory))
    shown = project.refresh().expect().output
    for kind in ("Machine", "Network", "Image", "Host"):
        assert f"azlocal:index:{kind}" in shown
    project.destroy().expect()
    assert leftovers(INSTANCE) == []
