"""The URIs by which hosts' hypervisors are reached."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.kvm.connection import libvirt_uri, noticing_loss


@pytest.mark.parametrize(
    ("connection", "uri"),
    [
        ("qemu:///system", "lxc:///system"),
        ("qemu+ssh://root@192.0.2.1/system", "lxc+ssh://root@192.0.2.1/system?no_tty=1"),
        ("test:///default", "test:///default"),
    ],
)
def test_the_other_driver_of_a_host(connection: str, uri: str) -> None:
    assert libvirt_uri(connection, "lxc") == uri


def test_over_ssh_a_silent_host_is_given_up() -> None:
    query = parse_qs(urlsplit(noticing_loss("lxc+ssh://root@192.0.2.1/system?no_tty=1")).query)
    assert query["no_tty"] == ["1"]
    assert os.access(query["command"][0], os.X_OK)
    assert noticing_loss("qemu:///system") == "qemu:///system"
