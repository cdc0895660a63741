"""What a restore decides before it touches anything: of which cluster, from what, and whether it may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UserError
from infra.resources.machine import MACHINE
from infra.resources.node_placement import NODE_PLACEMENT
from infra.stack.backup import StoredBackup
from infra.stack.clusters import StackCluster, cluster_of
from infra.stack.restore.flow import founder, refuse_what_could_come_back
from infra.stack.restore.source import choose
from infra.stack.state import Stack
from tests.lifecycle.test_backups import backup

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


def secret(value: Any) -> dict[str, str]:
    return {**SECRET, "plaintext": json.dumps(value)}


def machine(name: str, number: int = 0, role: str = "controlPlane", **changes: Any) -> dict[str, Any]:
    node = {
        "cluster": "lab-a",
        "role": role,
        "version": "1.34.4",
        "endpoint": "10.0.0.9",
        "caCertificate": "c",
        "caHash": "sha256:1",
        "number": number,
    }
    first_boot = {
        "hostname": name,
        "address": f"10.0.0.{number + 1}/24",
        "gateway": "10.0.0.254",
        "dnsServers": [],
        "authorizedKeys": ["ssh-ed25519 A"],
        "node": node,
    }
    outputs = {
        "instance": "lab",
        "connection": "qemu:///system",
        "pool": "azlocal-lab",
        "name": name,
        "machineType": "container",
        "image": "i",
        "network": "n",
        "macAddress": "52:54:00:00:00:01",
        "firstBoot": first_boot,
        "vcpus": 1,
        "memoryMiB": 1024,
        "diskGiB": 16,
        "uuid": "u",
        "sshHostKey": "k",
        "nodeSecrets": secret({"token": "t"}),
    }
    return {"type": MACHINE.token, "urn": f"urn::{name}", "outputs": outputs | changes}


RESOURCES = [
    {"type": "azlocal:index:Host", "urn": "urn::h", "outputs": {"connection": "qemu:///system"}},
    {
        "type": "azlocal:index:Host",
        "urn": "urn::l",
        "outputs": {"connection": "qemu+ssh://l/system", "lost": True},
    },
    machine("lab-a-cp-0"),
    machine("lab-a-cp-1", 1, lost=True),
    machine("lab-a-pool1-0", 7, "worker"),
    {
        "type": NODE_PLACEMENT.token,
        "urn": "urn::placement",
        "outputs": {
            "instance": "lab",
            "cluster": "a",
            "kubeconfig": secret("k"),
            "hosts": {},
            "version": "1.33.5",
            "controlPlanes": {"lab-a-cp-0": "10.0.0.1", "lab-a-cp-1": "10.0.0.2"},
            "etcdKeys": secret({"etcd/ca.crt": "x"}),
        },
    },
    {
        "type": "azlocal:index:ControlPlane",
        "urn": "urn::plane",
        "outputs": {"instance": "lab", "cluster": "a", "version": "v1.34.4"},
    },
]


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stack:
    monkeypatch.setattr(Stack, "require", lambda self: None)
    monkeypatch.setattr(Stack, "secret_resources", lambda self: RESOURCES)
    return Stack("lab", tmp_path, "")


@pytest.fixture
def cluster(stack: Stack) -> StackCluster:
    return cluster_of(stack, "a")


def test_a_cluster_is_known_by_its_state_with_its_keys(cluster: StackCluster, stack: Stack) -> None:
    assert cluster.placement.etcd_keys == {"etcd/ca.crt": "x"}
    assert (cluster.key, cluster.version, cluster.ca_hash) == ("lab-a", "1.34.4", "sha256:1")
    assert set(cluster.planes) == {"lab-a-cp-0", "lab-a-cp-1"}
    assert set(cluster.machines) == {*cluster.planes, "lab-a-pool1-0"}
    assert cluster.hosts == ("qemu:///system",), "of a lost one nothing is asked"
    assert cluster.member("lab-a-cp-1").address == "10.0.0.2"
    assert cluster.urns["lab-a"] == "urn::placement"
    assert founder(cluster) == "lab-a-cp-0"
    with pytest.raises(UserError, match="stack lab has no cluster 'b'; it has a"):
        cluster_of(stack, "b")


def listed(*minutes: int, **changes: str) -> list[StoredBackup]:
    return [StoredBackup(backup(each, **changes), ("h",)) for each in minutes]


def test_with_quorum_lost_what_stands_is_more_than_any_snapshot(cluster: StackCluster) -> None:
    source = choose(cluster, None, listed(1), has_quorum=False, answers=True)
    assert source.backup is None, "it is still to be taken"
    assert "a control plane that stands" in source.text
    newest = choose(cluster, None, listed(1, 2), has_quorum=False, answers=False)
    assert newest.backup == backup(2), "nobody answers: the newest snapshot"


def test_by_wish_it_is_the_named_snapshot_else_the_newest_that_fits(cluster: StackCluster) -> None:
    kept = [*listed(1, 2), *listed(3, ca_hash="sha256:0"), *listed(4, kubernetes_version="1.33.5")]
    assert choose(cluster, None, kept, has_quorum=True, answers=True).backup == backup(2)
    assert choose(cluster, backup(1).name, kept, has_quorum=True, answers=True).backup == backup(1)
    with pytest.raises(UserError, match="can't be restored: it is of a cluster of that name with other keys"):
        choose(cluster, backup(3).name, kept, has_quorum=True, answers=True)
    with pytest.raises(UserError, match=r"can't be restored: it is of Kubernetes 1\.33"):
        choose(cluster, backup(4).name, kept, has_quorum=False, answers=True)
    with pytest.raises(UserError, match="there is no snapshot x; kept are: lab-a-2026"):
        choose(cluster, "x", kept, has_quorum=True, answers=True)
    with pytest.raises(UserError, match="no snapshot of cluster a is kept that fits it"):
        choose(cluster, None, kept[2:], has_quorum=True, answers=True)


def test_a_file_is_taken_with_what_lies_beside_it(cluster: StackCluster, tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with pytest.raises(UserError, match="there is no file"):
        choose(cluster, str(file), [], has_quorum=True, answers=True)
    file.write_bytes(b"data")
    alone = choose(cluster, str(file), [], has_quorum=True, answers=True)
    assert "of which nothing is known" in alone.text
    assert alone.backup is not None
    assert alone.backup.size == 4
    file.with_name("a.db.json").write_text(backup(1, ca_hash="sha256:0").model_dump_json(by_alias=True))
    with pytest.raises(
        UserError, match=r"a\.db can't be restored: it is of a cluster of that name with other keys"
    ):
        choose(cluster, str(file), [], has_quorum=True, answers=True)
    file.with_name("a.db.json").write_text("{}")
    with pytest.raises(UserError, match=r"a\.db\.json can't be read"):
        choose(cluster, str(file), [], has_quorum=True, answers=True)


def test_a_control_plane_that_is_off_holds_up_a_restore(cluster: StackCluster) -> None:
    refuse_what_could_come_back(cluster, {"lab-a-cp-0": "runs", "lab-a-cp-1": "gone"})
    with pytest.raises(UserError, match=r"lab-a-cp-1 of cluster a is switched off.*Nothing was"):
        refuse_what_could_come_back(cluster, {"lab-a-cp-0": "runs", "lab-a-cp-1": "off"})


def test_a_control_plane_that_is_to_leave_is_one_still(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its member of etcd could come back, too."""
    leaving = [*RESOURCES, machine("lab-a-cp-2", 2)]
    monkeypatch.setattr(Stack, "secret_resources", lambda self: leaving)
    cluster = cluster_of(stack, "a")
    assert "lab-a-cp-2" not in cluster.placement.control_planes
    assert cluster.addresses == {f"lab-a-cp-{number}": f"10.0.0.{number + 1}" for number in range(3)}


def test_an_interrupted_change_is_ended_before_a_restore(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    spare = {"name": "lab-a-spare", "address": "10.0.0.7/24", "macAddress": "52:54:00:00:00:07"}
    (placement,) = [each for each in RESOURCES if each["type"] == NODE_PLACEMENT.token]
    outputs = {"outputs": placement["outputs"] | {"spare": spare}}
    resources = [each if each is not placement else placement | outputs for each in RESOURCES]
    monkeypatch.setattr(Stack, "secret_resources", lambda self: resources)
    cluster = cluster_of(stack, "a")
    with pytest.raises(UserError, match="lab-a-spare stands in cluster a: a change was interrupted"):
        refuse_what_could_come_back(cluster, {"lab-a-cp-0": "gone", "lab-a-spare": "runs"})
    refuse_what_could_come_back(cluster, {"lab-a-cp-0": "runs"})
