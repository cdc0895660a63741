"""What a stack of 0.1.0 has in its state stays: nothing that came since replaces, refuses or changes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from infra.kvm.connection import Hosts
from infra.model.encryption_keys import key_name
from infra.plugin.values import UNKNOWN
from infra.provider.kind import Changes
from infra.provider.kinds import all_kinds
from infra.provider.kinds.machine import MachineKind
from infra.resources.changes import diff
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation

NODE: dict[str, Any] = {
    "cluster": "lab-a",
    "role": "controlPlane",
    "version": "1.34.4",
    "endpoint": "10.0.0.9",
    "caCertificate": "CA PEM\n",
    "caHash": "sha256:abc",
    "number": 0,
    "vrrpId": 7,
    "podCidr": "10.244.0.0/16",
    "serviceCidr": "10.96.0.0/12",
    "imageTags": {"etcd": "3.6.16-0", "coredns": "v1.14.3"},
    "maxPods": None,
    "labels": {},
    "taints": [],
}

INPUTS: dict[str, Any] = {
    "instance": "lab",
    "connection": "qemu:///system",
    "pool": "azlocal-lab",
    "name": "lab-a-cp-0",
    "machineType": "container",
    "image": "image-0a1b2c3d4e5f.raw",
    "network": "lab-aks",
    "macAddress": "52:54:00:01:02:03",
    "firstBoot": {
        "hostname": "lab-a-cp-0",
        "address": "10.0.0.18/24",
        "gateway": "10.0.0.1",
        "dnsServers": [],
        "authorizedKeys": ["ssh-ed25519 BBBB"],
        "node": NODE,
        "mtu": None,
    },
    "nodeSecrets": {"token": "abcdef.0123456789abcdef", "keys": {"ca.key": "KEY"}},
    "vcpus": 4,
    "memoryMiB": 8192,
    "diskGiB": 32,
    "secureBoot": False,
    "tpm": False,
    "reachedThrough": "qemu:///system",
    "running": True,
    "migratesFrom": [],
}

STATE = INPUTS | {
    "seedDigest": "0" * 64,
    "uuid": "c1a5b1de-0000-4000-8000-000000000001",
    "sshHostKey": "ssh-ed25519 AAAA",
    "migrations": 0,
}
"""A control plane's machine as a stack of 0.1.0 keeps it."""


def planned(kind: MachineKind, news: dict[str, Any]) -> tuple[Changes, list[str]]:
    """Return what a preview of today's program makes of that state, and what it says."""
    log = MemoryLog()
    inputs, faults = kind.contract.check(news, frozenset())
    assert faults == []
    assert kind.check(inputs, frozenset()) == []
    changes = diff(kind.contract, STATE, inputs)
    kind.refine(STATE, inputs, changes, operation("Machine", log))
    return changes, [text for _, text in log.lines]


def test_a_newer_bundle_s_tags_replace_no_node() -> None:
    """CoreDNS of 0.1.0 had another tag than today's; its cluster keeps it in kubeadm's configuration."""
    tags = {"etcd": "3.7.0-0", "coredns": "v1.14.3-azlocal"}
    boot = INPUTS["firstBoot"] | {"node": NODE | {"imageTags": tags}}
    changes, said = planned(MachineKind(Hosts()), INPUTS | {"firstBoot": boot})
    assert changes.by_path == {}
    assert "stays on the node image that it was made from" in said[0]


@pytest.mark.parametrize(
    "settings", [None, {"podSecurity": None}, {"podSecurity": "baseline", "peers": ["10.0.0.19"]}]
)
def test_a_standing_control_plane_has_no_difference(settings: dict[str, Any] | None) -> None:
    changes, said = planned(MachineKind(Hosts()), INPUTS | {"nodeSettings": settings})
    assert changes.by_path == {}
    assert said == [
        "lab-a-cp-0 stays on the node image that it was made from: it is a node with data. It gets the current "
        "one with `autoUpgradeProfile: {nodeOSUpgradeChannel: NodeImage}` in its cluster, one node at a time, or "
        "with the next version of Kubernetes"
    ]


def test_what_a_node_is_told_besides_is_no_part_of_its_digest() -> None:
    kind = MachineKind(Hosts())

    def digest(settings: dict[str, Any] | None) -> Any:
        inputs, _ = kind.contract.check(INPUTS | {"nodeSettings": settings}, frozenset())
        kind.check(inputs, frozenset())
        return inputs["seedDigest"]

    assert digest(None) == digest({"podSecurity": "restricted", "peers": ["10.0.0.19"], "joinsWorkers": True})


def test_what_the_program_leaves_out_is_no_difference_where_something_is_unknown() -> None:
    """As where another Kubernetes' image isn't built yet: its tags are unknown, and nothing can be checked."""
    told = {name: NODE[name] for name in NODE if name not in {"maxPods", "labels", "taints"}}
    node = told | {"version": "1.33.5", "imageTags": {"etcd": UNKNOWN, "coredns": UNKNOWN}}
    first_boot = {name: value for name, value in INPUTS["firstBoot"].items() if name != "mtu"} | {"node": node}
    contract = all_kinds()["azlocal:index:Machine"].contract
    news, faults = contract.check(INPUTS | {"firstBoot": first_boot}, frozenset({"firstBoot"}))
    assert faults == []
    assert sorted(path for path in diff(contract, STATE, news).by_path if path.startswith("firstBoot")) == [
        "firstBoot.node.imageTags.coredns",
        "firstBoot.node.imageTags.etcd",
        "firstBoot.node.version",
    ]


def test_a_machine_of_0_1_0_is_read() -> None:
    assert MachineKind.contract.state.model_validate(STATE).to_wire()["nodeSettings"] is None


def test_an_identity_of_0_1_0_stays_and_a_preview_says_that_secrets_are_not_encrypted() -> None:
    kind, log = all_kinds()["azlocal:index:ClusterIdentity"], MemoryLog()  # as the plugin serves it
    inputs = {"instance": "lab", "cluster": "a", "endpoint": "10.0.0.9"}
    state = inputs | {"caCertificate": "CA", "caHash": "sha256:abc", "token": "t", "keys": {}, "kubeconfig": "k"}
    news, faults = kind.contract.check(inputs | {"podSecurity": "baseline"}, frozenset())
    changes = diff(kind.contract, state, news)
    kind.refine(state, news, changes, operation("ClusterIdentity", log))
    assert (faults, changes.by_path) == ([], {})
    (text,) = [text for _, text in log.lines]
    assert text.startswith("cluster a keeps its Secrets in etcd unencrypted"), "and nothing of podSecurity"


ENCRYPTS = {
    "encryptionKeys": ["KEY"],
    "encryptionKeysMade": {key_name("KEY"): datetime.now(UTC).isoformat()},
}


@pytest.mark.parametrize(
    ("founded_with", "said"),
    [
        (ENCRYPTS, []),
        (ENCRYPTS | {"podSecurity": "baseline"}, []),
        (ENCRYPTS | {"podSecurity": "restricted"}, ["cluster a keeps podSecurity restricted"]),
    ],
)
def test_a_preview_says_what_a_cluster_keeps_of_its_beginnings(
    founded_with: dict[str, Any], said: list[str]
) -> None:
    kind, log = all_kinds()["azlocal:index:ClusterIdentity"], MemoryLog()
    inputs = {"instance": "lab", "cluster": "a", "endpoint": "10.0.0.9", "podSecurity": "baseline"}
    state = {"caCertificate": "CA", "caHash": "sha256:abc", "token": "t", "keys": {}, "kubeconfig": "k"}
    news, _ = kind.contract.check(inputs, frozenset())
    kind.refine(inputs | state | founded_with, news, Changes({}), operation("ClusterIdentity", log))
    assert [text.partition(",")[0] for _, text in log.lines] == said


def test_a_control_plane_of_a_cluster_without_encryption_has_no_difference() -> None:
    secrets = INPUTS["nodeSecrets"] | {"encryptionKeys": None}
    changes, _ = planned(MachineKind(Hosts()), INPUTS | {"nodeSecrets": secrets})
    assert changes.by_path == {}
