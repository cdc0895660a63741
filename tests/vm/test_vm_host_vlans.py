"""VLANs on a host's uplink, where the kernel has 802.1Q: an emulated VM as the host, SSH over the same uplink."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from infra.kvm.preparation import Bridge, Wanted
from infra.kvm.preparation.guard import Trial, change_network
from infra.kvm.preparation.netplan import design_network
from tests.instance import INSTANCE, MakeProject, virsh
from tests.prepared_host import UnpreparedHost, unprepared_host, wanted

pytestmark = pytest.mark.vm

BOOT_SECONDS = 1500
TRIAL_SECONDS = 400
NEVER = threading.Event()
VLAN = 110
LAN = "azl-trial-lan"
FAR = "azl-far-lan"


@pytest.fixture
def host(make_project: MakeProject) -> Iterator[UnpreparedHost]:
    """Return a VM with systemd, netplan and Debian's kernel."""
    project = make_project(machineType="emulated")
    project.up(timeout=BOOT_SECONDS).expect()
    with unprepared_host(project, f"{INSTANCE}-rb-0") as host:
        yield host


def test_vlans_stand_beside_the_uplink_and_go_out_tagged(host: UnpreparedHost) -> None:
    (nic,) = host.addresses()
    trial = wanted("trial", Bridge(LAN, VLAN), uplink=nic)
    before = change(host, trial)
    facts, missing = host.look(trial)
    assert [step.id for step in missing.steps if step.id == "network"] == []
    assert facts.links[nic].addresses == before.facts.links[nic].addresses, "the uplink keeps its address"
    (vlan,) = (link for link in facts.links.values() if link.kind == "vlan")
    assert (vlan.parent, vlan.vlan, vlan.master) == (nic, VLAN, LAN)
    # Away with the address again: networkd drops what nobody told it, and a lost address is a change refused.
    with tags_of(tap(host)) as tags:
        run_all(
            host,
            f"ip address add 10.9.7.2/24 dev {LAN}",
            "ping -c 3 -W 1 10.9.7.1 || true",
            f"ip address delete 10.9.7.2/24 dev {LAN}",
        )
    assert VLAN in tags, "what the bridge sends leaves the host with its tag"

    # A NIC that somebody gave its address by hand, wired to another network namespace.
    run_all(
        host,
        "ip netns add far",
        "ip link add up0 type veth peer name sw0 netns far",
        "ip address add 10.9.8.2/24 dev up0",
        "ip link set up0 up",
        "ip -n far link set sw0 up",
        "ip -n far link add link sw0 name sw0.120 type vlan id 120",
        "ip -n far address add 10.9.9.1/24 dev sw0.120",
        "ip -n far link set sw0.120 up",
    )
    by_hand = wanted("far", Bridge(FAR, 120), uplink="up0")
    change(host, by_hand)
    assert [one.text for one in host.look(by_hand)[0].links["up0"].addresses] == ["10.9.8.2/24"]
    said = run_all(
        host,
        f"ip address add 10.9.9.2/24 dev {FAR}",
        "ping -c 5 -W 2 10.9.9.1",
        f"ip address delete 10.9.9.2/24 dev {FAR}",
    )
    assert " 0% packet loss" in said

    change(host, replace(by_hand, uplink=None, bridges=()))
    facts, _ = host.look(trial)
    assert {FAR, "up0.120"}.isdisjoint(facts.links)
    assert {LAN, vlan.name} <= facts.links.keys()
    assert [one.text for one in facts.links["up0"].addresses] == ["10.9.8.2/24"]


def run_all(host: UnpreparedHost, *lines: str) -> str:
    """Run commands over one connection: each login takes an emulated host ten seconds."""
    return host.run("sh", "-ec", "\n".join(lines))


def change(host: UnpreparedHost, what: Wanted) -> Trial:
    """Bring the host's network to what is wanted; return the trial, with the host as it was before."""
    facts, missing = host.look(what)
    assert missing.faults == ()
    trial = Trial(facts, what, design_network(facts, what), TRIAL_SECONDS)
    change_network(host.reach, trial, print, NEVER)
    return trial


def tap(host: UnpreparedHost) -> str:
    """Return this machine's end of the VM's NIC."""
    return virsh("domiflist", host.domain, uri="qemu:///system").split()[0]


_SOL_PACKET, _PACKET_AUXDATA = 263, 8  # linux/if_packet.h
_ALL_PROTOCOLS = 0x0003
_VLAN_VALID = 1 << 4


@contextmanager
def tags_of(interface: str) -> Iterator[set[int]]:
    """Collect the VLAN ids of the frames that arrive at an interface; the kernel takes tags out of the frames."""
    found: set[int] = set()
    done = threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)) as listener:
        listener.bind((interface, 0))
        listener.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        listener.settimeout(0.5)

        def listen() -> None:
            while not done.is_set():
                try:
                    ancillary = listener.recvmsg(2048, 256)[1]
                except TimeoutError:
                    continue
                for level, kind, data in ancillary:
                    if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                        status, *_, tci, _ = struct.unpack("=IIIHHHH", data[:20])
                        if status & _VLAN_VALID:
                            found.add(tci & 0xFFF)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield found
        finally:
            done.set()
            thread.join()
