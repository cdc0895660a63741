"""A container's disk is known to the kernel by a path of 63 characters: how long names may be."""

from __future__ import annotations

import pytest

from infra.kvm.host_folders import VOLUMES as FOLDER
from infra.plan.rules.names import VOLUMES
from tests.instances import checked_addresses, cluster, host, make_spec


def test_the_folder_is_the_one_that_disks_are_in() -> None:
    assert VOLUMES == FOLDER


@pytest.mark.parametrize(
    ("machine_type", "name", "folder", "severity"),
    [
        ("container", "production", None, "error"),
        ("auto", "production", None, "warning"),
        ("vm", "production", None, None),
        ("container", "productio", None, None),  # /var/lib/azlocal/productio/volumes/productio-a-nodepool1-0.raw
        ("container", "production", "/srv/lab", None),
        ("container", "productio", "/var/lib/azlocal2", None),
        ("container", "productio", "/var/lib/azlocal-2", "error"),
    ],
)
def test_a_path_that_is_too_long_is_told_where_machines_may_be_containers(
    machine_type: str, name: str, folder: str | None, severity: str | None
) -> None:
    hosts = [host() | ({"storageDirectory": folder} if folder else {})]
    spec = make_spec(cluster(), name=name, hosts=hosts, stack={"machineType": machine_type})
    found = [each for each in checked_addresses(spec).findings if each.rule == "container-disk-path"]
    assert [each.severity for each in found] == ([severity] if severity else [])
    if found:
        assert f"{name}-a-nodepool1-0.raw: 64 characters, of 63" in found[0].message
