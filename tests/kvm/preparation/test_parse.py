"""What a host's answers mean."""

from __future__ import annotations

import json

import pytest

from infra.kvm.preparation.parse import (
    Address,
    Link,
    Route,
    merge_netplan,
    parse_links,
    parse_os_release,
    parse_packages,
    parse_routes,
    parse_units,
)


@pytest.mark.parametrize(
    ("text", "name", "is_supported"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n', "Debian GNU/Linux 13 (trixie)", True),
        ('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', "Ubuntu", True),
        ('NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n', "Linux Mint", True),
        ('# a comment\nPRETTY_NAME="Fedora Linux 43"\nID=fedora\n', "Fedora Linux 43", False),
        ('ID="rhel"\nID_LIKE="fedora"\nNAME=RHEL\n', "RHEL", False),
        ("", "an unnamed Linux", False),
    ],
)
def test_distributions(text: str, name: str, is_supported: bool) -> None:
    found = parse_os_release(text)
    assert (found.name, found.is_supported) == (name, is_supported)


def test_packages_count_when_installed_and_with_what_they_provide() -> None:
    text = (
        "installed\tqemu-system-x86\tqemu-kvm (= 1:7.2), qemu-system\nconfig-files\tswtpm\t\ninstalled\tovmf\t\n"
    )
    assert parse_packages(text) == {"qemu-system-x86", "qemu-kvm", "qemu-system", "ovmf"}


def test_units() -> None:
    listed = "libvirtd.service enabled enabled\nvirtqemud.socket disabled enabled\n\n"
    assert parse_units(listed) == {"libvirtd.service": "enabled", "virtqemud.socket": "disabled"}


def test_links_and_their_addresses() -> None:
    shown = [
        {
            "ifname": "eno1",
            "address": "aa:bb:cc:00:00:01",
            "flags": ["BROADCAST", "UP"],
            "addr_info": [
                {"family": "inet", "local": "192.0.2.11", "prefixlen": 24, "scope": "global"},
                {"family": "inet", "local": "192.0.2.12", "prefixlen": 24, "scope": "global", "dynamic": True},
                {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
                {"family": "inet6", "local": "2001:db8::1", "prefixlen": 64, "scope": "global", "dynamic": True},
            ],
        },
        {
            "ifname": "eno1.110",
            "link": "eno1",
            "master": "azl-lab-aks",
            "flags": [],
            "linkinfo": {"info_kind": "vlan", "info_data": {"protocol": "802.1Q", "id": 110}},
        },
        {},
    ]
    assert parse_links(json.dumps(shown)) == {
        "eno1": Link(
            "eno1",
            mac="aa:bb:cc:00:00:01",
            addresses=(
                Address("192.0.2.11/24", is_lasting=True, is_ipv4=True),
                Address("192.0.2.12/24", is_lasting=False, is_ipv4=True),
                Address("2001:db8::1/64", is_lasting=False, is_ipv4=False),
            ),
        ),
        "eno1.110": Link(
            "eno1.110", kind="vlan", is_up=False, master="azl-lab-aks", parent="eno1", vlan=110, addresses=()
        ),
    }


def test_routes_by_another_family_have_their_gateway_too() -> None:
    shown = [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eno1", "protocol": "dhcp"},
        {"dst": "10.0.0.0/8", "via": {"family": "inet6", "host": "fe80::1"}, "dev": "eno1", "protocol": "static"},
        {"dst": "192.0.2.0/24", "dev": "eno1", "protocol": "kernel"},
    ]
    assert parse_routes(json.dumps(shown)) == [
        Route("default", "192.0.2.1", "eno1", "dhcp"),
        Route("10.0.0.0/8", "fe80::1", "eno1", "static"),
        Route("192.0.2.0/24", None, "eno1", "kernel"),
    ]
    assert parse_routes("") == []


def test_netplan_files_are_joined_as_netplan_does() -> None:
    files = {
        "/etc/netplan/10-a.yaml": "network: {version: 2, ethernets: {eno1: {dhcp4: true, addresses: [a]}}}",
        "/etc/netplan/20-b.yaml": "network: {ethernets: {eno1: {dhcp4: false, addresses: [b]}, eno2: {}}}",
        "/run/netplan/10-a.yaml": "network: {version: 2, ethernets: {eno1: {dhcp6: true, addresses: [c]}}}",
        "/lib/netplan/20-b.yaml": "network: {ethernets: {never: {}}}",
        "/etc/netplan/30-empty.yaml": "# nothing\n",
    }
    assert merge_netplan(files) == {
        "version": 2,
        "ethernets": {"eno1": {"dhcp6": True, "dhcp4": False, "addresses": ["c", "b"]}, "eno2": {}},
    }


@pytest.mark.parametrize("text", ["network: [", "network: 3"])
def test_a_broken_netplan_file_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"/etc/netplan/10-a\.yaml"):
        merge_netplan({"/etc/netplan/10-a.yaml": text})
