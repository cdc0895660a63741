"""What a host's answers say that stands there, and what is noted of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infra.audit.judge import compared
from infra.audit.model import Object
from infra.audit.view import facts, inventory_of, inventory_text, observe, read_inventory
from infra.hosts.facts.batch import Answer
from tests.audit.samples import STORE, observed

UUID = "11111111-0000-4000-8000-000000000001"
DEFINED = f"/etc/libvirt/qemu/pet.xml:  <name>pet</name>\n/etc/libvirt/qemu/pet.xml:  <uuid>{UUID}</uuid>\n"


def told(**texts: str) -> dict[str, Answer]:
    """Return the answers of a host with a running libvirt, and nothing else."""
    silent = {name: Answer(0, "") for name in facts(STORE)}
    plain = {"processes": "1 4026531836 libvirtd /usr/sbin/libvirtd\n", "links": "[]"}
    return silent | {name: Answer(0, text) for name, text in (plain | texts).items()}


def test_everything_is_seen_under_its_kind() -> None:
    view = observe(
        STORE,
        told(
            libvirt=f"{UUID} pet\n:networks\ndefault\n:pools\nimages\n:uuids\nu1\n:uuids\nu2\n:secrets\ns1 ceph\n",
            containers=f"{UUID} lab-rb-0\n",
            tables="table ip x\n",
            files="1 /etc/netplan/1.yaml\0002 /var/lib/libvirt/qemu/nvram/a_VARS.fd\0003 /etc/x\0",
            storage="".join(
                (
                    f"4 {STORE}/volumes/lab-rb-0.raw\0",
                    f"5 {STORE}/volumes/image-1.raw\0",
                    f"6 {STORE}/seeds/lab-rb-0\0",
                )
            ),
            homes=f"7 {STORE}.xfs\0",
            loops=json.dumps(
                {
                    "loopdevices": [
                        {"name": "/dev/loop0", "back-file": f"{STORE}.xfs", "back-ino": 7},
                        {"name": "/dev/loop1", "back-file": f"{STORE}.xfs", "back-ino": 8},
                    ]
                }
            ),
            packages="installed\tbash\n",
        ),
    )
    assert view.unseen == {}
    assert {(thing.kind, thing.name) for thing in view.objects} == {
        ("domain", "pet"),
        ("domain", "lab-rb-0"),
        ("network", "default"),
        ("pool", "images"),
        ("secret", "s1"),
        ("nftables", "ip x"),
        ("netplan", "/etc/netplan/1.yaml"),
        ("nvram", "/var/lib/libvirt/qemu/nvram/a_VARS.fd"),
        ("file", "/etc/x"),
        ("volume", f"{STORE}/volumes/lab-rb-0.raw"),
        ("image", f"{STORE}/volumes/image-1.raw"),
        ("seed", f"{STORE}/seeds/lab-rb-0"),
        ("file", f"{STORE}.xfs"),
        # The other one is a host's of a lab on the same kernel, under the same path.
        ("loop", f"/dev/loop0 of {STORE}.xfs"),
        ("package", "bash"),
        ("process", "libvirtd"),
    }


def test_where_libvirt_is_off_its_files_tell() -> None:
    answers = told(definitions=DEFINED, processes="1 4026531836 init /sbin/init\n") | {"libvirt": Answer(1, "")}
    view = observe(STORE, answers)
    assert view.unseen == {}
    assert Object("domain", "pet", UUID) in view.objects


def test_where_libvirt_hangs_it_was_not_looked_at() -> None:
    view = observe(STORE, told(definitions=DEFINED) | {"libvirt": Answer(124, "")})
    assert view.unseen == {"libvirt": "`virsh` didn't end in time"}
    assert not any(thing.kind == "domain" for thing in view.objects)


def test_without_nft_and_dpkg_there_is_nothing_that_they_could_tell() -> None:
    absent = {name: Answer(127, "") for name in ("tables", "packages")}
    assert observe(STORE, told() | absent).unseen == {}
    assert set(observe(STORE, told() | {"links": Answer(127, "")}).unseen) == {"links"}


def test_a_host_that_broke_off_says_what_is_missing() -> None:
    assert set(observe(STORE, {}).unseen) == set(facts(STORE))


def test_an_inventory_comes_back_as_it_was_noted() -> None:
    noted = inventory_of(observed(), "now")
    assert read_inventory(inventory_text(noted)) == noted


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2, "taken": "", "names": {}}', '{"format": 1}'])
def test_an_inventory_of_another_version_is_none(text: str) -> None:
    assert read_inventory(text) is None


def test_kinds_that_could_not_be_looked_at_are_not_compared_later() -> None:
    noted = inventory_of(replace(observed(), unseen={"links": "no"}), "now")
    assert noted.has(Object("link", "br-new"))
    assert not noted.has(Object("file", "/etc/new"))


def test_an_inventory_and_a_claim_are_read_with_the_rest() -> None:
    noted = inventory_text(inventory_of(observed(), "now"))
    claim = '{"format": "azlocal/owner-1", "id": "1", "made_by": "ann on desk"}'
    lines = f"{STORE}.owner:{claim}\n{STORE}.inventory:{noted}"
    view = observe(STORE, told(notes=lines))
    assert (view.claim, view.claimed_by) == ("1", "ann on desk")
    assert view.inventory == inventory_of(observed(), "now")


def test_folders_that_libvirt_makes_for_itself_are_not_compared() -> None:
    view = observe(STORE, told(files="1 /etc/libvirt/lxc/\0" + "2 /etc/libvirt/lxc/x.xml\0" + "3 /etc/y/\0"))
    assert {thing.name for thing in compared(view) if thing.kind == "file"} == {"/etc/libvirt/lxc/x.xml", "/etc/y"}
