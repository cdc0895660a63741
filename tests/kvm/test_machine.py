"""What a machine that stands goes through for a change: a VM restarts where a container changes while it runs."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from threading import Lock
from types import SimpleNamespace
from typing import Any

import libvirt
import pytest
from lxml import etree

from infra.errors import Interrupted
from infra.kvm.container import Container
from infra.kvm.domain_xml import MachineDefinition
from infra.kvm.errors import HostError, NotOurs
from infra.kvm.machine import Machine
from infra.kvm.machines import MACHINES, owned_machines
from infra.kvm.ownership import Mark
from infra.kvm.vm import EmulatedVm, Vm
from infra.model.machine import MachineType
from infra.model.machine_traits import TRAITS
from infra.model.work import Work

MARK = Mark("local", "local", "urn")
STANDS = MachineDefinition("m", MARK, 2, 2048, "n", "52:54:00:00:00:01", False, False, {"pool": "p"})
GIB = 16


class Missing(libvirt.libvirtError):  # type: ignore[misc]  # untyped
    def get_error_code(self) -> int:
        code: int = libvirt.VIR_ERR_NO_DOMAIN
        return code


class Domain:
    """A domain that does at once what it is told, and notes it."""

    def __init__(self, xml: str, *, active: bool = True) -> None:
        self.xml = self.live = xml
        self.active = active
        self.calls: list[str] = []

    def name(self) -> str:
        return etree.fromstring(self.xml).findtext("name", "")

    def UUIDString(self) -> str:
        return etree.fromstring(self.xml).findtext("uuid", "")

    def XMLDesc(self, flags: int = 0) -> str:
        return self.xml if flags or not self.active else self.live

    def isActive(self) -> bool:
        return self.active

    def create(self) -> None:
        self.calls.append("start")
        self.active, self.live = True, self.xml

    def shutdown(self) -> None:
        self.calls.append("stop")
        self.active = False

    def destroy(self) -> None:
        self.active = False

    def sendProcessSignal(self, process: int, signal: int) -> None:
        pass

    def setAutostart(self, on: bool) -> None:
        pass

    def setMemoryFlags(self, kib: int, scope: int) -> None:
        if scope == libvirt.VIR_DOMAIN_AFFECT_LIVE:
            self.calls.append(f"memory {kib >> 10}")

    def setMemoryParameters(self, parameters: dict[str, int], scope: int) -> None:
        assert set(parameters) == {"hard_limit"}

    def setSchedulerParametersFlags(self, parameters: dict[str, int], scope: int) -> None:
        self.calls.append(f"quota {parameters['vcpu_quota']}")


class Host:
    """A host with one domain or none, and a pool that has whatever disk it is asked for, and no data volume."""

    connection = "here"

    def __init__(self, domain: Domain | None) -> None:
        self.standing = domain
        self.qemu = self
        self.starting = Lock()
        self.shell = SimpleNamespace(run=lambda argv, **_: self.note(argv[0]), exists=lambda path: False)

    def note(self, call: str) -> None:
        assert self.standing is not None
        self.standing.calls.append(call)

    def hypervisor(self, driver: str) -> Any:
        return self

    def lookupByName(self, name: str) -> Domain:
        if self.standing is None:
            raise Missing("")
        return self.standing

    def listAllDomains(self, flags: int = 0) -> list[Domain]:
        return [self.standing] if self.standing else []

    def defineXML(self, xml: str) -> Domain:
        self.note("define")
        assert self.standing is not None
        self.standing.xml = xml
        return self.standing

    def getInfo(self) -> list[Any]:
        return ["x86_64", 65536]

    def storagePoolLookupByName(self, name: str) -> Any:
        return self

    def isActive(self) -> bool:
        return True

    def XMLDesc(self) -> str:
        return "<pool><target><path>/a/volumes</path></target></pool>"

    def storageVolLookupByName(self, name: str) -> Any:
        if ".data." in name:
            raise Missing("")
        return SimpleNamespace(
            info=lambda: [0, GIB << 30],
            path=lambda: f"/a/volumes/{name}",
            resize=lambda size: self.note(f"disk {size >> 30}"),
        )


def standing(machine_class: type[Machine], *, active: bool = True) -> tuple[Machine, list[str]]:
    """Return a machine that stands as it is wanted, and the list of what it goes through."""
    domain = Domain(machine_class.to_xml(STANDS, disk="/d", seed="/s", host_memory_mib=65536), active=active)
    host: Any = Host(domain)
    return machine_class(host, "p", "m", MARK), domain.calls


def settle(machine: Machine, *, gib: int = GIB, running: bool = True, **changes: Any) -> None:
    machine.settle(replace(STANDS, **changes), gib, running=running, work=Work())


class Slow(Domain):
    """A domain that takes some time to shut down."""

    def shutdown(self) -> None:
        super().shutdown()
        self.active = True
        threading.Timer(0.3, super().destroy).start()

    def destroy(self) -> None:
        self.calls.append("kill" if self.active else "is off")
        super().destroy()


def shutting_down(work: Work) -> list[str]:
    domain = Slow(Vm.to_xml(STANDS, disk="/d", seed="/s", host_memory_mib=65536))
    host: Any = Host(domain)
    with suppress(Interrupted):
        Vm(host, "p", "m", MARK).stop(work)
    return domain.calls


def test_a_machine_has_its_minute_to_shut_down_however_late_it_is() -> None:
    assert shutting_down(Work().within(0)) == ["stop", "is off"]


def test_a_cancelled_run_leaves_the_machine_shutting_down() -> None:
    cancelled = threading.Event()
    cancelled.set()
    assert shutting_down(Work(cancelled=cancelled)) == ["stop"]


@pytest.mark.parametrize(
    ("change", "vm", "container"),
    [
        ({}, [], []),
        ({"vcpus": 4}, ["define", "stop", "start"], ["define", "quota 400000"]),
        ({"memory_mib": 4096}, ["define", "stop", "start"], ["define", "memory 4096"]),
        ({"gib": 20}, ["stop", "disk 20", "start"], ["stop", "disk 20", "e2fsck", "resize2fs", "start"]),
        ({"gib": 8}, [], []),
        ({"running": False}, ["stop"], ["stop"]),
    ],
    ids=str,
)
def test_a_change_disturbs_a_machine_no_more_than_it_must(
    change: dict[str, Any], vm: list[str], container: list[str]
) -> None:
    for machine_class, expected in ((Vm, vm), (EmulatedVm, vm), (Container, container)):
        machine, calls = standing(machine_class)
        settle(machine, **change)
        assert calls == expected, machine_class


@pytest.mark.parametrize("machine_class", MACHINES.values())
def test_a_machine_that_is_off_is_started_as_it_is_wanted(machine_class: type[Machine]) -> None:
    machine, calls = standing(machine_class, active=False)
    settle(machine, vcpus=4)
    assert calls == ["define", "start"]
    assert machine.live.vcpus == 4


@pytest.mark.parametrize("machine_type", MACHINES)
@pytest.mark.parametrize(("name", "change"), [("vcpus", {"vcpus": 4}), ("memoryMiB", {"memory_mib": 4096})])
def test_what_preview_says_of_a_type_is_what_its_class_does(
    machine_type: MachineType, name: str, change: dict[str, Any]
) -> None:
    machine, calls = standing(MACHINES[machine_type])
    settle(machine, **change)
    assert ("stop" in calls) == (name in TRAITS[machine_type].restarted_for)


@pytest.mark.parametrize("machine_class", [Container, Vm])
def test_a_data_volume_goes_with_its_machine_unless_it_is_kept(
    machine_class: type[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, _ = standing(machine_class)
    gone: list[str] = []
    for name in ("remove_seed", "kill", "_undefine"):
        monkeypatch.setattr(machine_class, name, lambda _: None)
    monkeypatch.setattr(machine_class, "remove_traces", lambda *_: None)
    monkeypatch.setattr("infra.kvm.machine.remove_volume", lambda pool, name: gone.append(name))
    monkeypatch.setattr(machine_class, "remove_data", lambda machine: gone.append("data"))
    machine.remove(keeps_data=True)
    machine.remove()
    assert gone == [machine.disk_name, machine.disk_name, "data"]


@pytest.mark.parametrize("machine_class", [Container, Vm])
@pytest.mark.parametrize("path", [None, "/a/data/m"])
def test_a_machine_is_defined_with_the_data_volume_that_it_has(
    machine_class: type[Machine], path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, _ = standing(machine_class)
    monkeypatch.setattr(machine_class, "data_path", lambda _: path)
    machine.define(STANDS)
    assert machine.definition.has_data_volume is (path is not None)


def test_only_what_carries_our_mark_is_ours() -> None:
    machine, _ = standing(Vm)
    assert [one.name for one in owned_machines(machine.host, "p", MARK)] == ["m", "m"], "both drivers are asked"
    found = Vm.find(machine.host, "m", MARK)
    assert found is not None
    assert found.pool == "p"
    other = Mark("another", "local", "urn")
    assert list(owned_machines(machine.host, "p", other)) == []
    with pytest.raises(NotOurs):
        Vm.find(machine.host, "m", other)


def test_a_machine_that_is_gone_says_so_when_it_is_needed() -> None:
    host: Any = Host(None)
    machine = Container(host, "p", "m", MARK)
    assert not machine.exists
    assert Container.find(host, "m", MARK) is None
    with pytest.raises(HostError, match="machine m is gone; run `pulumi refresh`"):
        settle(machine)
