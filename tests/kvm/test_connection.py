"""How hosts' hypervisors are reached: by which URIs, and by how many connections."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import libvirt
import pytest

from infra.kvm.connection import Hosts, HostSession, libvirt_uri, noticing_loss
from infra.kvm.errors import HostUnreachable
from infra.model.work import Work
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("connection", "driver", "uri"),
    [
        ("qemu:///system", "lxc", "lxc:///system"),
        ("qemu+ssh://root@192.0.2.1:22/system", "lxc", "lxc+ssh://root@192.0.2.1:22/system?no_tty=1"),
        ("qemu+ssh://h/system?keyfile=/k", "qemu", "qemu+ssh://h/system?keyfile=/k&no_tty=1"),
        ("test:///default", "lxc", "test:///default"),
    ],
)
def test_both_drivers_of_a_host_are_reached_the_same_way(connection: str, driver: str, uri: str) -> None:
    assert libvirt_uri(connection, driver) == uri


def test_over_ssh_a_silent_host_is_given_up() -> None:
    query = parse_qs(urlsplit(noticing_loss("lxc+ssh://root@192.0.2.1/system?no_tty=1")).query)
    assert query["no_tty"] == ["1"]
    assert os.access(query["command"][0], os.X_OK)
    assert noticing_loss("qemu:///system") == "qemu:///system"


class Opened:
    """Stands in for a connection of libvirt."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.lives = True

    def isAlive(self) -> bool:
        return self.lives


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Opened]:
    found: list[Opened] = []

    def connect(uri: str) -> Opened:
        found.append(Opened(uri))
        return found[-1]

    monkeypatch.setattr("libvirt.open", connect)
    return found


def borrowed(hosts: Hosts, connection: str) -> AbstractContextManager[HostSession]:
    return hosts.session(connection, Work(status=print))


FAR, HERE = "qemu+ssh://root@192.0.2.1/system", "qemu:///system"


def test_a_far_host_is_logged_in_to_once_a_driver_whoever_works_there(opened: list[Opened]) -> None:
    hosts = Hosts()
    with borrowed(hosts, FAR) as one, borrowed(hosts, FAR) as other:
        assert one.qemu is other.qemu
        assert one.lxc is other.lxc
    with borrowed(hosts, FAR) as later:
        assert later.qemu is one.qemu
    assert len(opened) == 2


def test_on_this_machine_everybody_has_connections_of_their_own_and_leaves_them_to_the_next(
    opened: list[Opened],
) -> None:
    hosts = Hosts()
    with borrowed(hosts, HERE) as one, borrowed(hosts, HERE) as other:
        assert one.qemu is not other.qemu
    with borrowed(hosts, HERE) as later:
        assert later.qemu in (one.qemu, other.qemu)
    assert len(opened) == 2


class Waiting(Future[Any]):
    """Counts those who wait for an attempt to connect."""

    def __init__(self, callers: int = 0) -> None:
        super().__init__()
        self.callers, self._counting = callers, threading.Lock()

    def result(self, timeout: float | None = None) -> Any:
        with self._counting:
            self.callers += 1
        return super().result(timeout)


def test_all_who_wait_for_a_host_that_is_off_hear_of_it_together(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    waiting = Waiting()
    monkeypatch.setattr("infra.ssh.shared.Future", lambda: waiting)

    def connect(uri: str) -> NoReturn:
        tried.append(uri)
        eventually(lambda: waiting.callers == 7, "the seven others' wait", seconds=30, every=0.01)
        raise libvirt.libvirtError("no route to host")

    monkeypatch.setattr("libvirt.open", connect)
    hosts = Hosts()

    def use(_number: int) -> str:
        with pytest.raises(HostUnreachable, match="no route to host"), borrowed(hosts, FAR) as session:
            session.qemu.getHostname()
        return "told"

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == ["told"] * 8
    assert len(tried) == 1
    waiting = Waiting(callers=7)
    use(9)
    assert len(tried) == 2


@pytest.mark.parametrize("connection", [FAR, HERE])
def test_a_connection_that_broke_is_opened_anew(opened: list[Opened], connection: str) -> None:
    hosts = Hosts()
    with borrowed(hosts, connection) as session:
        broken = session.qemu
    opened[0].lives = False
    with borrowed(hosts, connection) as session:
        assert session.qemu is not broken
        assert session.qemu.isAlive()


def test_what_is_under_way_stays_on_its_connection_until_it_says_otherwise(opened: list[Opened]) -> None:
    hosts = Hosts()
    with borrowed(hosts, FAR) as session:
        first = session.qemu
        opened[0].lives = False
        assert session.qemu is first
        session.connect_anew()
        assert session.qemu is not first
        with borrowed(hosts, FAR) as other:
            assert other.qemu is session.qemu
