"""Pulling a plug: libvirt's errors that pass are waited out, others are told."""

from __future__ import annotations

from typing import cast

import libvirt
import pytest

from infra.kvm.connection import HostSession
from infra.kvm.container import Container
from infra.kvm.machine import Machine
from infra.kvm.ownership import Mark
from infra.kvm.vm import Vm


class Domain:
    """A domain whose destroy fails a few times."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.done: list[tuple[str, int]] = []

    def sendProcessSignal(self, process: int, signal: int) -> None:
        self.done.append(("signal", process))
        assert signal == libvirt.VIR_DOMAIN_PROCESS_SIGNAL_KILL

    def destroy(self) -> None:
        self.done.append(("destroy", 0))
        if self.errors:
            error = libvirt.libvirtError("")
            error.err = (self.errors.pop(0), libvirt.VIR_FROM_LXC, "", 0, "", None, None, -1, -1)
            raise error


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.kvm.machine.time.sleep", lambda seconds: None)


def kill(domain: Domain, machine_class: type[Machine] = Container) -> None:
    no_host = cast("HostSession", None)
    machine_class(no_host, "p", "m", Mark("i", "s", "u"), cast("libvirt.virDomain", domain)).kill()


@pytest.mark.parametrize("error", [libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_SYSTEM_ERROR])
def test_what_passes_is_waited_out(error: int) -> None:
    domain = Domain(error, error)
    kill(domain)
    assert domain.errors == []


@pytest.mark.parametrize("error", [libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN])
def test_a_domain_that_is_off_or_gone_is_what_was_wanted(error: int) -> None:
    domain = Domain(error, libvirt.VIR_ERR_AUTH_FAILED)
    kill(domain)
    assert domain.errors == [libvirt.VIR_ERR_AUTH_FAILED], "it was tried once"


def test_what_does_not_pass_is_told() -> None:
    with pytest.raises(libvirt.libvirtError):
        kill(Domain(libvirt.VIR_ERR_AUTH_FAILED))


@pytest.mark.parametrize(
    ("machine_class", "done"), [(Container, [("signal", 1), ("destroy", 0)]), (Vm, [("destroy", 0)])]
)
def test_a_container_s_first_process_is_killed_before_libvirt_asks_all_to_end(
    machine_class: type[Machine], done: list[tuple[str, int]]
) -> None:
    domain = Domain()
    kill(domain, machine_class)
    assert domain.done == done


def test_a_container_that_can_not_be_signalled_is_destroyed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(domain: Domain, process: int, signal: int) -> None:
        raise libvirt.libvirtError("off")

    monkeypatch.setattr(Domain, "sendProcessSignal", refuse)
    domain = Domain()
    kill(domain)
    assert domain.done == [("destroy", 0)]
