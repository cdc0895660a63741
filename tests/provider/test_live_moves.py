"""A VM whose host drains live: when it migrates, when it is refused, and what is never removed."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from typing import Any

import pytest

from infra.kvm.connection import Hosts
from infra.kvm.domain_xml import DomainView
from infra.kvm.errors import HostError
from infra.kvm.vm import Vm
from infra.plugin.operation import Operation
from infra.plugin.values import UNKNOWN
from infra.provider.kinds.live_moves import Standing, choose_arrival, may_take_over
from infra.provider.kinds.machine import MachineKind
from infra.resources.changes import Changes, Refused
from infra.resources.changes.machine import plan_live_move
from infra.resources.contract import OnChange
from infra.resources.machine import MachineInputs, MachineState
from tests.provider.conftest import MemoryLog

OLD, NEW = "qemu+ssh://root@192.0.2.1/system", "qemu+ssh://root@192.0.2.2/system"
NODE = {
    "cluster": "lab-a",
    "role": "controlPlane",
    "version": "1.34.4",
    "endpoint": "10.0.0.9",
    "caCertificate": "c",
    "caHash": "h",
}
INPUTS: dict[str, Any] = {
    "instance": "lab",
    "connection": NEW,
    "pool": "azlocal-lab",
    "name": "m",
    "machineType": "vm",
    "image": "image-1.qcow2",
    "network": "lab-aks",
    "macAddress": "52:54:00:00:00:01",
    "firstBoot": {
        "hostname": "m",
        "address": "10.0.0.5/24",
        "gateway": "10.0.0.1",
        "dnsServers": [],
        "authorizedKeys": ["k"],
        "node": None,
    },
    "vcpus": 1,
    "memoryMiB": 1024,
    "diskGiB": 16,
    "seedDigest": "d",
    "migratesFrom": [OLD],
}


# -- diff ------------------------------------------------------------------------------------------


def planned(*replaces: str, state: dict[str, Any] | None = None, **news: Any) -> tuple[str, Changes]:
    stands = INPUTS | {"connection": OLD, "running": True} | (state or {})
    changes = Changes({"connection": OnChange.REPLACE, **dict.fromkeys(replaces, OnChange.REPLACE)})
    return plan_live_move(stands, INPUTS | news, changes), changes


def test_a_vm_migrates_and_the_preview_says_what_is_copied() -> None:
    said, changes = planned("pool")
    assert said == (
        f"m migrates live from {OLD} to {NEW}: 1024 MiB of memory, and what its disk of 16 GiB holds, are copied "
        "as it runs. Data, address and host key stay"
    )
    assert changes.create_first
    assert set(changes.replaces()) == {"connection", "pool"}


@pytest.mark.parametrize("sources", [[], [NEW], None])
def test_a_host_that_does_not_drain_live_is_left_as_ever(sources: list[str] | None) -> None:
    said, changes = planned(migratesFrom=sources)
    assert (said, changes.create_first) == ("", False)


def test_a_machine_that_stays_is_no_move() -> None:
    changes = Changes({"vcpus": OnChange.UPDATE})
    assert plan_live_move(INPUTS | {"connection": OLD}, INPUTS, changes) == ""
    assert not changes.create_first


def test_a_node_keeps_its_older_image_as_it_migrates() -> None:
    _, changes = planned("image", "seedDigest", state={"firstBoot": {"node": {"role": "controlPlane"}}})
    assert changes.replaces() == ["connection"]


def test_what_would_be_made_anew_for_other_reasons_is_refused() -> None:
    with pytest.raises(Refused, match=r"m can't leave .* live: .* change of image, tpm\. Take that change back"):
        planned("tpm", "image")


def test_what_a_preview_cannot_know_yet_refuses_nothing() -> None:
    said, changes = planned("pool", "secureBoot", connection=UNKNOWN, secureBoot=UNKNOWN)
    assert said.startswith(f"m migrates live from {OLD} to another host: ")
    assert changes.create_first


def test_a_container_is_refused_with_the_other_way() -> None:
    with pytest.raises(Refused, match=r"is a container, and only VMs migrate.*`drain: true`"):
        planned(state={"machineType": "container"})


def test_one_that_is_off_is_not_made_anew_behind_anybodys_back() -> None:
    said, changes = planned(state={"running": False})
    assert "was shut off when it was last seen" in said
    assert changes.create_first


# -- create ----------------------------------------------------------------------------------------


def inputs(node: dict[str, Any] | None = None, **changes: Any) -> MachineInputs:
    content = json.loads(json.dumps(INPUTS | changes))
    content["firstBoot"]["node"] = node
    return MachineInputs.model_validate(content)


def view(migrations: int = 0, **changes: Any) -> DomainView:
    record = {"image": "image-1.qcow2", "seedDigest": "d", **({"migrations": migrations} if migrations else {})}
    known: dict[str, Any] = {
        "name": "m",
        "uuid": "u",
        "machine_type": "vm",
        "vcpus": 1,
        "memory_mib": 1024,
        "memory_maximum_mib": 1024,
        "network": "lab-aks",
        "mac_address": "52:54:00:00:00:01",
        "interface_device": None,
        "secure_boot": False,
        "tpm": False,
        "instance": "lab",
        "stack": "lab",
        "record": record,
    }
    return DomainView(**known | changes)


def standing(migrations: int = 0, state: str = "running", **changes: Any) -> Standing:
    return Standing(view(migrations, **changes), state != "off", state == "running")


def test_what_runs_only_on_its_old_host_migrates() -> None:
    assert choose_arrival(None, standing(), inputs()) == "migrate"


def test_what_an_earlier_stay_left_is_no_obstacle() -> None:
    assert choose_arrival(standing(1, "off"), standing(2), inputs()) == "migrate"


@pytest.mark.parametrize("state", ["running", "off"])
def test_what_has_come_already_is_taken_over(state: str) -> None:
    assert choose_arrival(standing(1, state), standing(0, "off"), inputs()) == "take over"


@pytest.mark.parametrize(
    ("here", "there", "changes", "said"),
    [
        (standing(1), standing(0), {}, "the old one was started again on its old host: stop that"),
        (standing(0), standing(0), {}, "runs on its old host and on .*, too"),
        (None, standing(0, "off"), {}, "m is shut off on the host that drains live.*`virsh start m`"),
        (None, standing(0, "paused"), {}, "m is paused on the host that drains live.*`virsh resume m`"),
        (None, standing(0), {"tpm": True}, "made with another network, MAC address, firmware or TPM"),
    ],
)
def test_what_is_not_safe_is_refused(
    here: Standing | None, there: Standing, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(HostError, match=said):
        choose_arrival(here, there, inputs(**changes))


def test_a_node_that_migrated_is_never_made_anew_for_a_newer_image() -> None:
    newer: dict[str, Any] = {"image": "image-2.qcow2", "seedDigest": "e"}
    assert may_take_over(view(), inputs())
    assert may_take_over(view(1), inputs(NODE, **newer))
    assert not may_take_over(view(0), inputs(NODE, **newer))
    assert not may_take_over(view(1), inputs(**newer))
    assert not may_take_over(view(1), inputs(NODE, macAddress="52:54:00:00:00:02"))


# -- delete ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stands", "removed"), [(None, True), (view(), True), (view(1), True), (view(2), False)])
def test_what_came_back_is_not_what_was_to_be_removed(
    stands: DomainView | None, removed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(Vm, "exists", stands is not None)
    monkeypatch.setattr(Vm, "definition", stands)
    monkeypatch.setattr(Vm, "remove", lambda machine, **_: calls.append(machine.name))
    kind = MachineKind(Hosts())
    monkeypatch.setattr(kind, "session", lambda *_: nullcontext())
    op = Operation("urn:pulumi:lab::azlocal::azlocal:index:Machine::m", MemoryLog(), threading.Event())
    old = MachineState(**inputs().model_dump(), uuid="u", ssh_host_key="k", migrations=1)
    kind.delete(op, f"{NEW}#m", old)
    assert calls == (["m"] if removed else [])
