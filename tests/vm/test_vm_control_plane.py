"""The node image and its seed as a virtual machine: kubeadm's control plane answers at the cluster's address.

Under emulation a whole cluster never settles (its leases run out), so nothing is put into this one.
"""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from infra.kubernetes.api import ClusterApi
from tests.instance import INSTANCE, MakeProject, address, cluster, virsh

pytestmark = pytest.mark.vm

QEMU = "qemu:///system"
CP = f"{INSTANCE}-a-cp-0"
# Everything inside the cluster, and the wait for it.
INSIDE = ("--exclude", "**kubernetes:**", "--exclude", "**azlocal:index:Cluster::**")


def test_a_control_plane_in_a_virtual_machine_answers_at_the_clusters_address(make_project: MakeProject) -> None:
    sizes: dict[str, Any] = {"controlPlane": {"count": 1, "vmSize": "Plane", "hostIP": address(1, 70)}}
    project = make_project(
        machineType="emulated", clusters=[cluster(provisioning="kubernetes", timeoutMinutes=30, **sizes)]
    )
    hosts = project.directory / "hosts" / "here.yaml"
    hosts.write_text(hosts.read_text() + "  Plane: {vcpus: 2, memoryGiB: 3, diskGiB: 16}\n")
    project.up(*INSIDE, timeout=2400).expect()

    output = project.pulumi("stack", "output", "kubeconfig", "--show-secrets").expect().output
    api = ClusterApi(output)
    assert api.server == f"https://{address(1, 70)}:6443"
    assert yaml.safe_load(output)["current-context"] == f"{INSTANCE}-a"
    assert api.get("/version")["gitVersion"].startswith("v1.34")
    assert [node["metadata"]["name"] for node in api.items("/api/v1/nodes")][:1] == [CP]

    drive = virsh("dumpxml", CP, "--xpath", "//disk[@device='cdrom']", uri=QEMU)
    assert ".iso" not in drive, "the seed, which holds the cluster's keys, is out of the drive"
    volumes = subprocess.run(
        ["virsh", "-q", "-c", QEMU, "vol-list", f"azlocal-{INSTANCE}"], capture_output=True, text=True, check=True
    ).stdout
    assert "seed" not in volumes
