"""What an audit says of a host: left, missing, in the way, unexplained, kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.audit.judge import judge
from infra.audit.model import Object
from tests.audit.samples import (
    BEFORE,
    BRIDGE,
    GONE,
    MACHINE,
    NETWORK,
    OF_INSTANCE,
    OF_MACHINE,
    OF_NETWORK,
    OF_OTHER,
    OTHER,
    OURS,
    STANDS,
    STORE,
    items,
    observed,
)


def test_of_a_host_where_nothing_is_left_there_is_nothing_to_say() -> None:
    place = judge(GONE, observed(inventory=BEFORE), strict=True)
    assert place.items == ()
    assert (place.looked_at, place.since) == (8, "2026-11-30 08:00 UTC")


@pytest.mark.parametrize("thing", OURS, ids=str)
def test_whatever_of_an_instance_is_left_is_seen(thing: Object) -> None:
    for strict in (False, True):
        (item,) = items(thing, inventory=BEFORE, strict=strict)
        assert (item.verdict, item.kind, item.name, item.is_certain) == ("leftover", thing.kind, thing.name, True)


def test_what_state_has_is_no_leftover() -> None:
    assert items(*OURS, scope=STANDS, inventory=BEFORE, strict=True) == []


def test_of_a_machine_that_state_does_not_have_everything_is_left() -> None:
    scope = replace(STANDS, machines=frozenset[str]())
    left = items(*OURS, scope=scope)
    assert {(item.kind, item.name) for item in left} == {(thing.kind, thing.name) for thing in OF_MACHINE}
    without_network = replace(STANDS, networks={})
    assert {item.name for item in items(*OURS, scope=without_network)} == {thing.name for thing in OF_NETWORK}


@pytest.mark.parametrize(
    ("gone", "kind", "name"),
    [
        (OF_MACHINE[0], "domain", MACHINE),
        (OF_NETWORK[0], "network", NETWORK),
        (OF_INSTANCE[0], "pool", "azlocal-lab"),
        (OF_INSTANCE[1], "file", STORE),
    ],
)
def test_what_state_has_and_the_host_has_not_is_missing(gone: Object, kind: str, name: str) -> None:
    said = items(*(thing for thing in OURS if thing != gone), scope=STANDS)
    assert [(item.verdict, item.kind, item.name) for item in said] == [("missing", kind, name)]


def test_what_could_not_be_looked_at_is_not_missed() -> None:
    assert items(scope=STANDS, unseen={"libvirt": "it hangs", "storage": "it hangs"}) == []
    said = items(*OF_NETWORK, *OF_INSTANCE, scope=STANDS, unseen={"containers": "it hangs"})
    assert said == []


@pytest.mark.parametrize(
    "thing",
    [
        Object("domain", MACHINE, "99999999-0000-4000-8000-000000000001"),
        Object("pool", "azlocal-lab"),
        Object("network", NETWORK),
        Object("file", f"{STORE}/volumes/notes.txt"),
    ],
    ids=str,
)
def test_a_strangers_object_under_a_name_of_ours_is_in_the_way(thing: Object) -> None:
    (item,) = items(thing, uuids=frozenset[str]())
    assert (item.verdict, item.name) == ("foreign", thing.name)


def test_another_instances_objects_are_neither_left_nor_unexplained() -> None:
    assert items(*OF_OTHER, inventory=BEFORE, strict=True) == []
    assert items(*OF_OTHER, *OURS, inventory=BEFORE, scope=STANDS, strict=True) == []


def test_a_file_of_a_machine_that_nobody_knows_counts_by_its_name_unless_another_instance_has_that() -> None:
    unknown = Object("nvram", "/var/lib/libvirt/qemu/nvram/lab-old-cp-7_VARS.fd")
    (item,) = items(unknown)
    assert (item.verdict, item.is_certain, item.note) == ("leftover", False, "by its name")
    of_stranger = Object("domain", "lab-old-cp-7", "99999999-0000-4000-8000-000000000001")
    assert items(unknown, of_stranger) == []
    others = Object("nvram", f"/var/lib/libvirt/qemu/nvram/{OTHER}-old-0_VARS.fd")
    assert items(others, *OF_OTHER) == []


@pytest.mark.parametrize(
    "thing",
    [
        Object("domain", "pet", "99999999-0000-4000-8000-000000000001"),
        Object("link", "br-planted"),
        Object("file", "/etc/planted"),
        Object("nftables", "ip planted"),
        Object("secret", "77777777-0000-4000-8000-000000000001"),
        Object("mount", "/mnt/planted", "/dev/sdb1"),
        Object("loop", "/dev/loop9 of /tmp/planted", "/tmp/planted"),
    ],
    ids=str,
)
def test_what_came_since_the_inventory_without_a_mark_is_unexplained(thing: Object) -> None:
    (item,) = items(thing, inventory=BEFORE)
    assert (item.verdict, item.name) == ("unexplained", thing.name)
    assert items(thing) == [], "without an inventory, only marks tell"


def test_processes_are_compared_only_where_that_is_wanted_and_a_logins_own_never() -> None:
    planted, login = Object("process", "planted", "9 planted"), Object("process", "sshd", "10 sshd: root")
    assert items(planted, login, inventory=BEFORE) == []
    (item,) = items(planted, login, inventory=BEFORE, strict=True)
    assert (item.verdict, item.name) == ("unexplained", "planted")


def test_packages_are_listed_as_kept() -> None:
    (item,) = items(Object("package", "qemu-utils"), inventory=BEFORE)
    assert (item.verdict, item.name) == ("kept", "qemu-utils")


def test_a_bridge_of_ours_that_libvirt_has_forgotten_takes_its_ports_along() -> None:
    said = items(Object("link", BRIDGE), Object("link", "vnet9", BRIDGE))
    assert [(item.verdict, item.name) for item in said] == [("leftover", BRIDGE), ("leftover", "vnet9")]


def test_a_long_machine_name_is_known_by_what_libvirt_has_of_it_in_a_group() -> None:
    name = "lab-cluster-with-a-long-name-0"
    scope = replace(GONE, machine_names=frozenset({name}))
    group = Object("group", "/sys/fs/cgroup/cpu/machine/lxc-1-x", f"lxc-1-{name[:20]}.libvirt-lxc")
    (item,) = items(group, scope=scope)
    assert (item.verdict, item.is_certain) == ("leftover", True)


def test_what_another_state_has_made_is_in_the_way_and_not_left() -> None:
    scope = replace(GONE, owners=frozenset({"ours"}))
    (item,) = items(*OURS, scope=scope, claim="theirs", claimed_by="ann on desk")
    assert (item.verdict, item.name) == ("foreign", f"{STORE}.owner")
    assert "that of ann on desk" in item.note
    assert "AZLOCAL_TAKE_OVER=theirs azlocal audit lab --clean" in item.note
    for owners in (frozenset({"ours", "theirs"}), None):
        said = items(*OURS, scope=replace(GONE, owners=owners), claim="theirs")
        assert {item.verdict for item in said} == {"leftover"}
