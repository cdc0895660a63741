"""Each fault planted alone in a healthy host is found by its check, with a remedy, and by nothing unrelated."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from infra.doctor.checks import HOST_CHECKS, SITE_CHECKS, Subject
from infra.doctor.facts import LibvirtObject, Preparation, Unknown
from tests.doctor import machine_faults, network_faults
from tests.doctor.planting import (
    FOREIGN,
    UNTAGGED,
    Fault,
    both,
    fact,
    facts,
    host,
    networks,
    objects,
    refused,
    routes,
    uplink,
)
from tests.doctor.samples import judged, judged_together, known, link, ours, subject, subjects

FAULTS = [*machine_faults.FAULTS, *network_faults.FAULTS]

SITE_FAULTS = [
    Fault(
        "one machine under two names",
        "distinct-hosts",
        "failed",
        "node1 = node2",
        fact("system", identity="boot-1/net:[1]"),
    ),
    Fault(
        "another processor", "same-cpu", "warning", "EPYC", fact("processor", vendor="AuthenticAMD", model="EPYC")
    ),
    Fault(
        "a feature switched off",
        "same-cpu-features",
        "warning",
        "avx2",
        fact("processor", flags=frozenset({"vmx", "ept"})),
    ),
    Fault("another model", "same-model", "warning", "PowerEdge", fact("system", product="PowerEdge R650")),
    Fault("another QEMU", "same-versions", "warning", "8.2.2", fact("hypervisor", qemu=(8, 2, 2))),
    Fault(
        "one host UUID",
        "host-uuid",
        "warning",
        "node1 = node2",
        fact("hypervisor", host_uuid="00000000-0000-0000-0000-000000000001"),
    ),
    Fault(
        "a drive less",
        "same-drives",
        "warning",
        "1 x 3,840 GB",
        fact("storage", disks=known(subject().facts.storage).disks[:2]),
    ),
    Fault("slower uplink", "same-uplink-speed", "warning", "1,000 Mbit/s", uplink(speed=1000)),
    Fault("clocks apart", "clocks", "warning", "90.0 s", fact("clock", offset=-90.0)),
]


def test_a_healthy_site_has_no_faults() -> None:
    for one in subjects():
        assert {result.check: result.seen for result in judged(one).values() if result.status == "warning"} == {}
        assert {result.check: result.seen for result in judged(one).values() if result.status == "failed"} == {}
    assert {result.status for result in judged_together(subjects()).values()} == {"ok"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_of_a_host(fault: Fault) -> None:
    found = judged(fault.plant(subject()))
    assert found[fault.check].status == fault.status, found[fault.check]
    assert fault.seen in found[fault.check].seen
    assert found[fault.check].remedy
    others = {one.check for one in found.values() if one.status in ("failed", "warning")} - {fault.check}
    assert others <= set(fault.also), others


def test_a_store_that_others_leave_no_margin_is_told_although_every_disk_fits() -> None:
    """A store says that it has room for what the file below it can't grow to."""
    (found,) = [one for one in machine_faults.FAULTS if one.name == "disk below the store filled by others"]
    crowded = host(machines=())(found.plant(subject()))
    assert judged(crowded)["free-disk"].status == "warning"
    root, store = known(crowded.facts.storage).file_systems
    roomy = fact("storage", file_systems=(replace(root, available=20 << 30), store))(crowded)
    assert judged(roomy)["free-disk"].status == "ok"


@pytest.mark.parametrize("fault", SITE_FAULTS, ids=lambda fault: fault.name)
def test_fault_among_hosts(fault: Fault) -> None:
    several = subjects()
    several[1] = fault.plant(several[1])
    found = judged_together(several)
    assert (found[fault.check].status, fault.seen in found[fault.check].seen) == (fault.status, True), found
    assert found[fault.check].remedy
    assert [one.check for one in found.values() if one.status != "ok"] == [fault.check]


def test_every_check_has_a_fault() -> None:
    planted = {fault.check for fault in (*FAULTS, *SITE_FAULTS)}
    checks = {one.id for one in HOST_CHECKS} | {one.id for one in SITE_CHECKS}
    without = checks - planted
    # The first says how it stands, and libvirt switches it on by itself; the second fails where there is no host.
    assert without == {"forwarding", "some-host"}
    assert judged_together([])["some-host"].status == "failed"


def test_what_is_not_known_is_skipped_with_its_reason() -> None:
    silent = refused("unreachable", "node1: no connection. Is it on?")(subject())
    found = judged(silent)
    assert {one.check for one in found.values() if one.status != "skipped"} == {"reachable"}
    assert found["libvirt"].seen == "no login"
    assert found["reachable"].remedy == "Is it on?"
    assert all(one.seen for one in found.values())


def test_a_network_of_our_own_is_no_overlap() -> None:
    bridge = link("azl-lab-aks", "10.220.32.1/24", kind="bridge")
    standing = both(
        networks(mode="nat", holds_gateway=True),
        fact("network", links=(*known(subject().facts.network).links, bridge)),
        routes(("10.220.32.0/24", "azl-lab-aks")),
    )
    assert judged(standing(subject()))["route-overlap"].status == "ok"


def test_the_hosts_own_network_is_no_overlap() -> None:
    untagged = both(UNTAGGED, networks(vlan=5, prefix=IPv4Network("192.168.1.0/24")))
    assert judged(untagged(subject()))["route-overlap"].status == "ok"


def test_what_stands_of_ours_is_no_leftover() -> None:
    found = judged(
        objects(
            ours("pool", "azlocal-lab", place="/var/lib/azlocal/lab/volumes"),
            ours("network", "lab-aks"),
            ours("domain", "lab-a-cp-1", instance="lab"),
            LibvirtObject("pool", "azlocal-ci", FOREIGN, True),
            LibvirtObject("domain", "somebody-elses", FOREIGN, True),
        )(subject())
    )
    assert found["leftovers"].status == found["names"].status == "ok"
    assert found["leftovers"].seen == "lab stands there with 1 machine; ci stands there too"


def test_containers_need_nothing_where_guests_boot() -> None:
    found = judged(fact("hypervisor", containers="libvirt's LXC lists none")(subject()))
    assert found["containers"].status == "ok"
    assert found["cgroups"].status == "skipped"


def test_a_mesh_with_room_for_whole_packets() -> None:
    def mesh(one: Subject, mtu: int) -> Subject:
        carried = replace(one.host, networks=(replace(one.host.networks[0], mode="mesh"),))
        links = tuple(replace(each, mtu=mtu) for each in known(one.facts.network).links)
        return Subject(
            replace(one.facts, network=replace(known(one.facts.network), links=links)),
            carried,
            replace(one.instance, hosts=(carried,), underlay_mtu=mtu),
        )

    assert judged(mesh(subject(), 1550))["mtu"].seen == "eno1 carries 1550, machines get 1500"
    small = judged(mesh(subject(), 1500))["mtu"]
    assert (small.status, "underlayMtu: 1550" in small.remedy) == ("warning", True)


def test_one_host_is_alike_with_itself() -> None:
    found = judged_together([subject()])
    assert {one.check for one in found.values() if one.status != "skipped"} == {"some-host"}


def test_what_up_brings_is_not_missed() -> None:
    fresh = facts(
        packages=frozenset(),
        hypervisor=Unknown("libvirt doesn't answer"),
        boot_probe=Unknown("libvirt doesn't answer"),
        preparation=Preparation((("packages", "install libvirt-daemon-system"),)),
    )
    found = judged(fresh(subject()))
    assert {one.check: one.status for one in found.values() if one.status in ("failed", "warning")} == {
        "packages": "warning"
    }
    assert found["preparation"].seen == "`pulumi up` will install libvirt-daemon-system"
    assert found["libvirt"].status == "skipped"
