"""What `--clean` removes from a host, by libvirt's test driver and in a real folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from infra.audit.clean import clean_host
from infra.audit.model import Item, Scope
from infra.kvm.claim import Claim
from infra.kvm.errors import HostError, NotOurs
from infra.kvm.ownership import Mark
from infra.kvm.storage import ensure_pool
from infra.ssh import LocalShell

TEST = "test:///default"
MARK = Mark("lab", "lab", "")


@pytest.fixture
def keep() -> Iterator[libvirt.virConnect]:
    """A connection to the test driver, whose objects live as long as somebody is connected."""
    connection = libvirt.open(TEST)
    yield connection
    for pool in connection.listAllStoragePools():
        if pool.name() == "azlocal-lab":
            pool.destroy()
            pool.undefine()
    connection.close()


@pytest.fixture
def store(tmp_path: Path, keep: libvirt.virConnect) -> Path:
    """The folder of an instance on a host, with image, disk, seed, pool, network and inventory."""
    folder = tmp_path / "lab"
    (folder / "volumes").mkdir(parents=True)
    (folder / "seeds/lab-rb-0").mkdir(parents=True)
    for name in ("volumes/image-0123456789ab.raw", "volumes/lab-rb-0.raw", "seeds/lab-rb-0/user-data"):
        (folder / name).write_text("x")
    (tmp_path / "lab.inventory").write_text("{}")
    ensure_pool(keep, "azlocal-lab", str(folder / "volumes"), MARK)
    for name, uuid in (("lab-aks", MARK.uuid("network", "lab-aks")), ("strange", None)):
        mark = f"<uuid>{uuid}</uuid>" if uuid else ""
        keep.networkDefineXML(f"<network><name>{name}</name>{mark}<bridge name='azl-{name}'/></network>")
    return folder


def scope(store: Path, *owners: str) -> Scope:
    return Scope("lab", "lab", "here", TEST, str(store), owners=frozenset(owners))


def networks(keep: libvirt.virConnect) -> set[str]:
    return {network.name() for network in keep.listAllNetworks()} & {"lab-aks", "strange"}


def claimed(store: Path) -> None:
    Claim("id-1", "lab", "lab", "ann on desk").make(LocalShell(), str(store))


def test_all_that_carries_the_mark_goes_and_nothing_else(store: Path, keep: libvirt.virConnect) -> None:
    claimed(store)
    said: list[str] = []
    clean_host(scope(store, "id-1"), [], said.append)
    assert sorted(path.name for path in store.parent.iterdir()) == []
    assert networks(keep) == {"strange"}
    assert "azlocal-lab" not in {pool.name() for pool in keep.listAllStoragePools()}
    assert said == ["here: removing network lab-aks", f"here: removing {store} and its pool"]


def test_of_an_instance_that_stands_only_what_is_left_goes(store: Path, keep: libvirt.virConnect) -> None:
    claimed(store)
    stands = replace(scope(store, "id-1"), stands=True, networks={"lab-aks": "azl-lab-aks"})
    disk = store / "volumes/lab-old-0.raw"
    disk.touch()
    clean_host(stands, [Item("leftover", "volume", str(disk))], lambda _text: None)
    assert not disk.exists()
    assert (store / "volumes/lab-rb-0.raw").exists()
    assert networks(keep) == {"lab-aks", "strange"}
    assert (store.parent / "lab.owner").exists()


@pytest.mark.parametrize("has_claim", [True, False])
def test_what_another_state_made_stays(store: Path, keep: libvirt.virConnect, has_claim: bool) -> None:
    if has_claim:
        claimed(store)
    with pytest.raises(NotOurs, match=r"AZLOCAL_TAKE_OVER=(id-1|0\.1\.0) azlocal audit lab --clean"):
        clean_host(scope(store, "id-2"), [], lambda _text: None)
    assert (store / "volumes/lab-rb-0.raw").exists()
    assert networks(keep) == {"lab-aks", "strange"}
    clean_host(scope(store, "id-1", "0.1.0"), [], lambda _text: None)
    assert not store.exists()


def test_a_strangers_file_in_the_folder_stays_with_the_folder(store: Path, keep: libvirt.virConnect) -> None:
    claimed(store)
    notes = store / "volumes/notes.txt"
    notes.write_text("mine")
    with pytest.raises(HostError, match=r"notes\.txt"):
        clean_host(scope(store, "id-1"), [], lambda _text: None)
    assert notes.read_text() == "mine"
    assert networks(keep) == {"strange"}
