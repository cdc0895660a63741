"""The kinds against libvirt's own test driver, in this process: no daemon, no root."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from infra.errors import Interrupted
from infra.kvm.connection import Hosts
from infra.kvm.errors import HostError, NotOurs
from infra.kvm.ownership import Mark
from infra.kvm.storage import ensure_pool, remove_pool
from infra.model.work import Work
from infra.plugin.operation import Operation
from infra.plugin.values import UNKNOWN
from infra.provider.kind import Changes
from infra.provider.kinds.base import mark_for
from infra.provider.kinds.host import HostKind
from infra.provider.kinds.image import ImageKind
from infra.provider.kinds.machine import MachineKind
from infra.provider.kinds.network import NetworkKind
from infra.resources.changes import diff
from infra.resources.contract import OnChange
from infra.resources.host import HostInputs
from infra.resources.image import ImageState
from infra.resources.machine import MachineInputs, MachineState
from infra.resources.network import NetworkInputs
from tests.provider.conftest import MemoryLog

TEST = "test:///default"
INPUTS: dict[str, Any] = {
    "instance": "local",
    "connection": TEST,
    "name": "local-aks",
    "bridge": "azl-local-aks",
    "mode": "nat",
    "addressPrefix": "10.1.0.0/24",
    "gateway": "10.1.0.1",
}


def operation(kind: str = "Network", log: MemoryLog | None = None) -> Operation:
    urn = f"urn:pulumi:local::azlocal::azlocal:index:{kind}::x"
    return Operation(urn, log or MemoryLog(), threading.Event())


@pytest.fixture
def networks() -> Iterator[NetworkKind]:
    keep = libvirt.open(TEST)  # the driver's objects live as long as somebody is connected
    yield NetworkKind(Hosts())
    keep.close()


def inputs(kind: NetworkKind, **changes: Any) -> NetworkInputs:
    checked, faults = kind.contract.check(INPUTS | changes, frozenset())
    assert not faults
    return NetworkInputs.model_validate(checked)


def test_the_whole_life_of_a_network(networks: NetworkKind) -> None:
    wanted = inputs(networks)
    made = networks.create(operation(), wanted)
    assert made.id == f"{TEST}#local-aks"
    assert (made.state.active, made.state.autostart) == (True, True)
    assert networks.create(operation(), wanted) == made, "a second create takes over what stands"
    assert networks.read(operation(), made.id, made.state) == made.state
    assert networks.read(operation(), made.id, None) == made.state, "an import reads all of it back"

    libvirt.open(TEST).networkLookupByName("local-aks").destroy()
    drifted = networks.read(operation(), made.id, made.state)
    assert drifted is not None
    changes = diff(networks.contract, drifted.to_wire(), wanted.to_wire())
    assert changes.by_path == {"active": OnChange.UPDATE}
    assert networks.update(operation(), made.id, drifted, wanted) == made.state

    for _ in range(2):
        networks.delete(operation(), made.id, made.state)
    assert networks.read(operation(), made.id, made.state) is None


def test_a_half_made_network_of_other_inputs_is_made_anew(networks: NetworkKind) -> None:
    networks.create(operation(), inputs(networks, gateway="10.1.0.254"))
    made = networks.create(operation(), inputs(networks))
    assert made.state.gateway == "10.1.0.1"
    networks.delete(operation(), made.id, made.state)


def test_another_owners_network_is_neither_read_changed_nor_deleted(networks: NetworkKind) -> None:
    wanted = inputs(networks)
    made = networks.create(operation(), wanted)
    stranger = operation()
    stranger.urn = stranger.urn.replace("pulumi:local", "pulumi:lab")
    for act in (
        lambda: networks.create(stranger, wanted),
        lambda: networks.read(stranger, made.id, made.state),
        lambda: networks.update(stranger, made.id, made.state, wanted),
        lambda: networks.delete(stranger, made.id, made.state),
    ):
        with pytest.raises(NotOurs, match="never changes what it did not make"):
            act()
    networks.delete(operation(), made.id, made.state)


def test_a_nat_network_needs_its_subnet(networks: NetworkKind) -> None:
    faults = networks.check({"mode": "nat", "addressPrefix": None, "gateway": None}, frozenset())
    assert [fault.property for fault in faults] == ["addressPrefix", "gateway"]
    assert networks.check({"mode": "bridge", "addressPrefix": None, "gateway": None}, frozenset()) == []


def test_a_cancelled_run_starts_nothing(networks: NetworkKind) -> None:
    op = operation()
    op.cancelled.set()
    with pytest.raises(Interrupted):
        networks.create(op, inputs(networks))


def test_an_id_of_another_form_says_what_one_looks_like(networks: NetworkKind) -> None:
    with pytest.raises(HostError, match="qemu:///system#local-aks"):
        networks.read(operation(), "local-aks", None)


def test_a_host_is_never_given_more_work_than_its_share() -> None:
    hosts = Hosts(per_host=2)
    running, most = 0, 0
    lock, go = threading.Lock(), threading.Barrier(2)

    def work() -> None:
        nonlocal running, most
        with hosts.session(TEST, Work()):
            with lock:
                running += 1
                most = max(most, running)
            go.wait(10)
            with lock:
                running -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 2


def test_waiting_for_a_turn_ends_when_the_run_is_cancelled() -> None:
    hosts = Hosts(per_host=1)
    cancelled = threading.Event()
    said: list[str] = []

    def status(text: str) -> None:
        said.append(text)
        cancelled.set()

    with (
        hosts.session(TEST, Work(status=said.append)),
        pytest.raises(Interrupted),
        hosts.session(TEST, Work(cancelled=cancelled, status=status)),
    ):
        pass
    assert "waiting for a turn" in said[0]


def test_a_host_that_goes_leaves_what_somebody_else_put_into_its_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "volumes").mkdir()
    (tmp_path / "seeds/old letters").mkdir(parents=True)
    letter = tmp_path / "seeds/old letters/1"
    letter.write_text("mine")
    (tmp_path / "volumes/local-a-cp-0.raw").write_text("disk")
    for name in ("host._make_storage", "host.clone_store.remove", "host_preparation.withdraw_from"):
        monkeypatch.setattr(f"infra.provider.kinds.{name}", lambda *_: None)
    kind, op = HostKind(Hosts()), operation("Host")
    keep = libvirt.open(TEST)  # the driver's objects live as long as somebody is connected
    ensure_pool(keep, "azlocal-local", str(tmp_path / "volumes"), mark_for(op, "local"))
    inputs = {"instance": "local", "name": "here", "connection": TEST, "storageDirectory": str(tmp_path)}
    lost = kind.create(op, HostInputs.model_validate(inputs | {"lost": True})).state
    state = lost.model_copy(update={"lost": False})
    with pytest.raises(HostError, match=r"old.* letters.*Move them away"):
        kind.remove(op, state)
    assert letter.read_text() == "mine"
    letter.unlink()
    letter.parent.rmdir()
    kind.remove(op, state)
    assert list(tmp_path.iterdir()) == []
    keep.close()


ARTIFACT = {"path": "/i", "sha256": "ab" * 32, "format": "raw", "virtualSize": 1}


def test_an_image_is_named_after_the_content_that_the_host_needs() -> None:
    kind = ImageKind(Hosts())
    vm = ARTIFACT | {"sha256": "cd" * 32, "format": "qcow2"}
    wanted: dict[str, Any] = {"machineType": "container", "vm": vm, "container": ARTIFACT, "volume": None}
    assert kind.check(wanted, frozenset()) == []
    assert wanted["volume"] == "image-abababababab.raw"
    assert kind.check(wanted | {"machineType": "emulated"}, frozenset()) == []
    for unknown in ("machineType", "container"):
        unsure = wanted | {unknown: UNKNOWN}
        assert kind.check(unsure, frozenset({unknown})) == []
        assert unsure["volume"] == UNKNOWN
    (fault,) = kind.check(wanted | {"container": None}, frozenset())
    assert fault.property == "container"


def test_what_restarts_a_machine_is_said_in_preview(tmp_path: Path) -> None:
    kind, log = MachineKind(Hosts()), MemoryLog()
    state = {"name": "m", "running": True, "vcpus": 1, "memoryMiB": 1024, "diskGiB": 16, "machineType": "vm"}

    def refined(machine_type: str, **news: int) -> tuple[dict[str, OnChange], list[str]]:
        log.lines.clear()
        changes = Changes(dict.fromkeys(news, OnChange.UPDATE))
        wanted = state | {"machineType": machine_type} | news
        kind.refine(state, wanted, changes, operation("Machine", log))
        return changes.by_path, [text for _, text in log.lines]

    assert refined("vm", memoryMiB=2048)[1] == ["m restarts for memoryMiB 1024 → 2048; its disk and address stay"]
    assert refined("container", memoryMiB=2048)[1] == []
    assert refined("container", diskGiB=20)[1] == ["m restarts for diskGiB 16 → 20; its disk and address stay"]
    assert refined("vm", diskGiB=8)[0] == {"diskGiB": OnChange.REPLACE}, "a disk never shrinks in place"


def test_a_changed_machine_type_shows_in_preview_before_the_host_is_asked() -> None:
    kind = HostKind(Hosts())
    old = {"instance": "local", "requestedMachineType": "auto"}
    assert kind.preview(operation("Host"), old, None) == {"pool": "azlocal-local"}
    assert (
        kind.preview(operation("Host"), old | {"requestedMachineType": "emulated"}, old)["machineType"]
        == "emulated"
    )
    back = kind.preview(operation("Host"), old, old | {"requestedMachineType": "emulated"})
    assert (back["machineType"], back["machineTypeReason"]) == (UNKNOWN, UNKNOWN)


def test_a_pool_that_cannot_be_seen_into_is_not_an_image_that_is_gone(networks: NetworkKind) -> None:
    connection = libvirt.open(TEST)
    mark = Mark("local", "local", "urn")
    pool = ensure_pool(connection, "azlocal-local", "/var/lib/azlocal/local/volumes", mark)
    kind, op = ImageKind(Hosts()), operation("Image")
    old = ImageState(
        instance="local",
        connection=TEST,
        pool="azlocal-local",
        volume="image-1.raw",
        volume_path="/v/image-1.raw",
        capacity=1,
    )
    id = kind.contract.id_of(old.to_wire())
    assert kind.read(op, id, old) is None, "the pool lists its volumes, and it isn't there"
    pool.destroy()
    assert kind.read(op, id, old) == old, "a stopped pool says nothing about its volumes"
    remove_pool(connection, "azlocal-local", mark)
    assert kind.read(op, id, old) is None
    kind.delete(op, id, old)
    connection.close()


@pytest.mark.parametrize("role", ["controlPlane", "worker", None])
def test_a_control_plane_that_is_gone_is_never_forgotten(role: str | None) -> None:
    """Forgotten, the next `up` would replace it, as the first machine of another cluster, and call that done."""
    connection = libvirt.open(TEST)
    kind, log = MachineKind(Hosts()), MemoryLog()
    op = operation("Machine", log)
    node = {"cluster": "local-a", "role": role, "version": "1", "endpoint": "e", "caCertificate": "", "caHash": ""}
    address = {"hostname": "m", "address": "10.0.0.5/24", "gateway": "10.0.0.1", "dnsServers": []}
    first_boot = address | {"authorizedKeys": ["k"]} | ({"node": node} if role else {})
    known = MachineState.model_validate(
        {
            "instance": "local",
            "connection": TEST,
            "pool": "azlocal-local",
            "name": "local-a-cp-0",
            "machineType": "vm",
            "image": "image-1.qcow2",
            "network": "n",
            "macAddress": "52:54:00:00:00:01",
            "firstBoot": first_boot,
            "vcpus": 1,
            "memoryMiB": 128,
            "diskGiB": 2,
            "uuid": "u",
            "sshHostKey": "k",
            "started": 5,
        }
    )
    id = kind.contract.id_of(known.to_wire())
    found = kind.read(op, id, known)
    if role != "controlPlane":
        assert found is None
        return
    assert found is not None
    assert (found.running, found.started) == (False, 0)
    assert [level for level, _ in log.lines] == ["warning"]
    changes = diff(kind.contract, found.to_wire(), known.to_wire())
    assert changes.by_path == {"running": OnChange.UPDATE}, "so `up` looks, and says what is the matter"
    wanted = MachineInputs.model_validate(known.model_dump(include=set(MachineInputs.model_fields)))
    with pytest.raises(HostError, match=r"control plane local-a-cp-0 is gone .* member of cluster local-a's etcd"):
        kind.update(op, id, found, wanted)
    kind.delete(op, id, found)
    connection.close()


def test_a_text_of_another_form_is_refused_without_a_regular_expression() -> None:
    _, faults = MachineKind(Hosts()).contract.check({"macAddress": "52:54:00:XX"}, frozenset())
    (fault,) = [one for one in faults if one.property == "macAddress"]
    assert fault.reason == "macAddress: this text isn't possible here, got '52:54:00:XX'"
