"""A host that is gone for good is asked nothing; one that is only silent is an error that says so."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from infra.kvm.connection import Hosts
from infra.kvm.errors import HostUnreachable
from infra.plugin.operation import Operation
from infra.provider.kind import InitFailed
from infra.provider.kinds.host import HostKind
from infra.provider.kinds.network import NetworkKind
from infra.resources.changes import diff
from infra.resources.contract import OnChange
from infra.resources.host import HostInputs
from infra.resources.network import NetworkState
from tests.provider.conftest import MemoryLog

GONE = "qemu+ssh://root@127.0.0.1:9/system"  # RFC 863's port, where nothing answers
NETWORK = NetworkState(
    instance="lab", connection=GONE, name="lab-aks", bridge="azl-lab-aks", mode="mesh", uuid="u", mtu=1450
)


def operation(kind: str) -> tuple[Operation, MemoryLog]:
    log = MemoryLog()
    return Operation(f"urn:pulumi:lab::azlocal::azlocal:index:{kind}::x", log, threading.Event()), log


def host(**changes: Any) -> dict[str, Any]:
    inputs = {"instance": "lab", "name": "node1", "connection": GONE, "storageDirectory": "/x", **changes}
    checked, faults = HostKind.contract.check(inputs, frozenset())
    assert not faults
    return checked


def test_what_a_silent_host_has_is_not_forgotten_and_the_way_out_is_named() -> None:
    with pytest.raises(HostUnreachable, match=r"gone for good.*`lost: true`.*`make down` ask it nothing"):
        NetworkKind(Hosts()).delete(operation("Network")[0], f"{GONE}#lab-aks", NETWORK)


def test_what_a_lost_host_has_is_forgotten_by_the_run_that_checks_it() -> None:
    hosts = Hosts()
    assert HostKind(hosts).check(host(lost=True), frozenset()) == []
    op, log = operation("Network")
    NetworkKind(hosts).delete(op, f"{GONE}#lab-aks", NETWORK)
    assert log.lines == [("info", f"forgotten, not removed: {GONE} is lost")]
    HostKind(hosts).check(host(), frozenset())
    assert not hosts.is_lost("qemu:///system")


def test_a_lost_host_lives_and_goes_without_being_asked() -> None:
    kind, (op, log) = HostKind(Hosts()), operation("Host")
    made = kind.create(op, HostInputs.model_validate(host(lost=True)))
    assert made.state.machine_type_reason == "the host is lost, and wasn't asked"
    assert kind.preview(op, host(lost=True), None) == {}
    assert kind.read(op, made.id, made.state) == made.state
    known = made.state.model_copy(update={"lost": False, "machine_type": "container", "cpus": 8})
    wanted = HostInputs.model_validate(host(lost=True))
    changes = diff(kind.contract, known.to_wire(), wanted.to_wire())
    assert changes.by_path == {"lost": OnChange.UPDATE}
    kind.refine(known.to_wire(), wanted.to_wire(), changes, op)
    kind.refine(made.state.to_wire(), host(), changes, op)
    assert [text.partition(":")[0] for _, text in log.lines] == ["node1 is given up", "node1 is taken back"]
    lost = kind.update(op, made.id, known, wanted)
    assert (lost.lost, lost.machine_type, lost.cpus) == (True, "container", 8)
    HostKind(Hosts()).delete(op, made.id, lost)  # by another process, long after


def test_a_mesh_s_gateway_comes_and_goes_without_its_machines() -> None:
    op, _ = operation("Network")
    wanted = NETWORK.to_wire() | {"addressPrefix": "10.1.0.0/24", "gateway": "10.1.0.1"}
    changes = diff(NetworkKind.contract, NETWORK.to_wire(), wanted)
    assert changes.replaces() == ["addressPrefix", "gateway"]
    NetworkKind(Hosts()).refine(NETWORK.to_wire(), wanted, changes, op)
    assert changes.by_path == {"addressPrefix": OnChange.UPDATE, "gateway": OnChange.UPDATE}
    nat = wanted | {"mode": "nat"}
    changes = diff(NetworkKind.contract, NETWORK.to_wire(), nat)
    NetworkKind(Hosts()).refine(NETWORK.to_wire(), nat, changes, op)
    assert set(changes.replaces()) == {"mode", "addressPrefix", "gateway"}


def test_a_network_that_was_changed_half_way_is_gone_on_with_by_the_next_run() -> None:
    wanted = NETWORK.model_copy(update={"gateway": "10.1.0.1", "address_prefix": "10.1.0.0/24"})
    with pytest.raises(InitFailed) as failed:
        NetworkKind(Hosts()).update(operation("Network")[0], f"{GONE}#lab-aks", NETWORK, wanted)
    assert failed.value.made.state == NETWORK, "what stands isn't known, so state keeps what was"
