"""What netplan makes of its files."""

from __future__ import annotations

import pytest

from infra.kvm.preparation.netplan_files import merge_netplan


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
