"""Who answers on a link, asked by the real script over a real veth."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from infra.kvm.address_probe import answers
from infra.kvm.errors import HostError
from infra.ssh import LocalShell

MAC = "00:1a:a0:12:34:56"  # Dell's


@pytest.fixture
def link() -> Iterator[str]:
    """A link without an address, behind which somebody has 10.76.0.5 and 10.76.0.7."""
    space, near = f"azlprobe{os.getpid()}", f"azlp{os.getpid()}"
    inside = ["ip", "-n", space]
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        subprocess.run(
            ["ip", "link", "add", near, "type", "veth", "peer", "name", "far", "netns", space], check=True
        )
        subprocess.run(["ip", "link", "set", near, "up"], check=True)
        subprocess.run([*inside, "link", "set", "far", "address", MAC, "up"], check=True)
        for address in ("10.76.0.5/24", "10.76.0.7/24"):
            subprocess.run([*inside, "address", "add", address, "dev", "far"], check=True)
        yield near
    finally:
        subprocess.run(["ip", "netns", "del", space], check=True)


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network namespace")
def test_who_has_an_address_is_found_and_nobody_else(link: str) -> None:
    addresses = [f"10.76.0.{number}" for number in range(1, 100)]
    assert answers(LocalShell(), link, addresses) == {"10.76.0.5": [MAC], "10.76.0.7": [MAC]}


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a raw socket")
def test_a_bridge_that_is_not_there_is_named() -> None:
    with pytest.raises(HostError, match=r"can't be probed on nolink0: .*No such device"):
        answers(LocalShell(), "nolink0", ["10.76.0.1"])
