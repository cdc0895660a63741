"""When a control plane gives the cluster's address up, and how it hands it over."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from infra import certificates as made
from infra.certificates import KeyPair
from infra.image import recipe
from infra.kubernetes.pki import ClusterPki, generate_pki

PROGRAM = Path(recipe.__file__).parent / "files/root/usr/lib/azlocal/api-endpoint"
VIP, OWN, OTHER, THIRD = "127.0.9.9", "127.0.9.18", "127.0.9.19", "127.0.9.20"


@pytest.fixture(scope="module")
def pki() -> ClusterPki:
    return generate_pki()


@pytest.fixture
def node(tmp_path: Path, pki: ClusterPki, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the program as a node has it, on a control plane with two others."""
    loader = SourceFileLoader("api_endpoint", str(PROGRAM))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    program: Any = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, loader.name, program)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(program)
    for name in ("PEERS", "FAULT", "AUTHORITY"):
        monkeypatch.setattr(program, name, tmp_path / name)
    program.PEERS.write_text(f"{OTHER} {THIRD}\n")
    program.FAULT.write_text("0")
    program.AUTHORITY.write_text(pki.ca.certificate)
    program.let_go_of, program.really_let_go = [], program.let_go
    monkeypatch.setattr(program, "let_go", lambda address, _: program.let_go_of.append(address))
    with socket.socket() as free:
        free.bind((OWN, 0))
        monkeypatch.setattr(program, "PORT", free.getsockname()[1])
    monkeypatch.setattr(program, "ASKED_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(program, "LOOKED_FOR_EVERY_SECONDS", 0.01)
    return program


def certificate(ca: KeyPair, address: str) -> str:
    """Return a server's certificate and key."""
    key, now = made.new_key(), datetime.now(UTC)
    authority = x509.load_pem_x509_certificate(ca.certificate.encode()).subject
    names = made.alternative_names([address])
    signed = made.issue(
        made.x509_name("kube-apiserver"),
        key.public_key(),
        authority,
        made.load_key(ca.key),
        now - timedelta(hours=1),
        now + timedelta(hours=1),
        names,
    )
    return made.certificate_pem(signed) + made.key_pem(key)


class ApiServer:
    """Something at an address that has the cluster's certificate, and answers with a status, or not at all."""

    def __init__(self, node: Any, address: str, folder: Path, pki: ClusterPki, status: str = "200 OK") -> None:
        self.status = status
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = folder / f"{address}-{len(list(folder.iterdir()))}.pem"
        path.write_text(certificate(pki.ca, address))
        context.load_cert_chain(path)
        self._socket = socket.create_server((address, node.PORT))
        self._context = context
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            if not self.status:
                self._ended.wait(1)
            with client:
                try:
                    with self._context.wrap_socket(client, server_side=True) as served:
                        served.recv(100)
                        served.sendall(f"HTTP/1.0 {self.status}\r\n\r\n".encode())
                except OSError:
                    continue


@contextmanager
def api_server(node: Any, address: str, pki: ClusterPki, tmp_path: Path, status: str = "200 OK") -> Iterator[None]:
    server = ApiServer(node, address, tmp_path, pki, status)
    try:
        yield
    finally:
        server.end()


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run something that is called kube-apiserver."""
    command = ["kube-apiserver", "-c", "import time; time.sleep(60)", *arguments]
    running = subprocess.Popen(command, executable=sys.executable)
    try:
        # The kernel ends Popen's wait a moment before a process has its arguments.
        while not Path(f"/proc/{running.pid}/cmdline").read_bytes():
            time.sleep(0.001)
        yield running
    finally:
        running.kill()
        running.wait()


def watch(node: Any, seconds: float = 0.3) -> Any:
    return node.Watch(node.Endpoint(VIP, OWN, seconds))


def fault(node: Any) -> str:
    return str(node.FAULT.read_text())


# -- who answers -----------------------------------------------------------------------------------


def test_only_a_ready_server_of_this_cluster_counts(node: Any, pki: ClusterPki, tmp_path: Path) -> None:
    assert not node.answers(OTHER, 1)
    with api_server(node, OTHER, pki, tmp_path):
        assert node.answers(OTHER, 1)
    with api_server(node, OTHER, pki, tmp_path, "500 Internal Server Error"):
        assert not node.answers(OTHER, 1)
    with api_server(node, OTHER, generate_pki(), tmp_path):
        assert not node.answers(OTHER, 1)


def test_one_that_hangs_is_waited_for_no_longer_than_told(node: Any, pki: ClusterPki, tmp_path: Path) -> None:
    with api_server(node, OTHER, pki, tmp_path, ""):
        began = time.monotonic()
        assert not node.answers(OTHER, 0.2)
        assert time.monotonic() - began < 0.9


def test_the_first_other_one_that_answers_decides(node: Any, pki: ClusterPki, tmp_path: Path) -> None:
    with api_server(node, OTHER, pki, tmp_path, ""), api_server(node, THIRD, pki, tmp_path):
        began = time.monotonic()
        assert node.another_answers(0.9)
        assert time.monotonic() - began < 0.8
    node.PEERS.unlink()
    assert not node.another_answers(1)


# -- watching --------------------------------------------------------------------------------------


def test_a_server_of_this_machine_is_known_by_the_address_that_it_advertises(node: Any) -> None:
    with process("--advertise-address=127.0.9.1"):  # a pod's
        assert node.server_process(OWN) is None
        with process("--secure-port=6443", f"--advertise-address={OWN}"):
            assert node.server_process(OWN) is not None


def test_the_address_is_given_up_at_once_when_the_server_ends(node: Any, pki: ClusterPki, tmp_path: Path) -> None:
    watching = watch(node)
    node.ASKED_EVERY_SECONDS = 30
    with (
        api_server(node, OTHER, pki, tmp_path),
        api_server(node, OWN, pki, tmp_path),
        process(f"--advertise-address={OWN}") as server,
    ):
        kill = threading.Timer(0.3, server.kill)
        kill.start()
        began = time.monotonic()
        watching.step()
        assert fault(node) == "1"
        assert 0.2 < time.monotonic() - began < 2
        assert node.let_go_of == [], "with the server all connections ended"


@pytest.mark.parametrize("runs", [True, False])
def test_nobody_gives_it_up_where_no_other_one_answers(node: Any, runs: bool) -> None:
    """As on the only control plane, while a cluster is founded, and while etcd has no leader."""
    watching = watch(node, 0.05)
    with process(f"--advertise-address={OWN if runs else VIP}"):
        for _ in range(4):
            watching.step()
            assert fault(node) == "0"


def test_a_server_that_hangs_is_given_two_chances(node: Any, pki: ClusterPki, tmp_path: Path) -> None:
    watching = watch(node)
    with process(f"--advertise-address={OWN}"), api_server(node, OTHER, pki, tmp_path):
        with api_server(node, OWN, pki, tmp_path):
            watching.step()
        told = []
        for _ in range(3):
            watching.step()
            told.append(fault(node))
        assert told == ["0", "1", "1"]
        assert node.let_go_of == [VIP], "requests under way end first, once"
        with api_server(node, OWN, pki, tmp_path):
            watching.step()
            assert fault(node) == "0"


def test_one_that_has_just_started_may_hold_it_once_it_answers(node: Any, pki: ClusterPki, tmp_path: Path) -> None:
    watching = watch(node)
    with api_server(node, OTHER, pki, tmp_path):
        watching.step()
        assert fault(node) == "1"
        with process(f"--advertise-address={OWN}"):
            with api_server(node, OWN, pki, tmp_path, "403 Forbidden"):
                watching.step()
                assert fault(node) == "1"
            with api_server(node, OWN, pki, tmp_path):
                watching.step()
                assert fault(node) == "0"


# -- handing over ----------------------------------------------------------------------------------

IDLE = (
    "ESTAB 0 0 [::ffff:10.0.0.9]:6443 [::ffff:10.0.0.30]:40000\n\t cubic rto:200 lastsnd:{} lastrcv:{} lastack:9\n"
)


@pytest.mark.parametrize(
    ("told", "busy"),
    [
        ("", False),
        (IDLE.format(400, 5000), False),  # a watch: the server spoke last
        (IDLE.format(5000, 400), True),  # a request without an answer
        (IDLE.format(250, 300), True),  # perhaps a client in the middle of TLS
        ("ESTAB 0 0 a b\n\t cubic lastsnd:30 lastack:30\n", True),  # received right now
        (IDLE.format(400, 5000) + IDLE.format(5000, 400), True),
        ("SYN-RECV 0 0 a b\n\t cubic rto:1000\n", False),
    ],
)
def test_a_request_under_way_is_known_by_who_spoke_last(node: Any, told: str, busy: bool) -> None:
    assert node.is_busy(told) is busy


class Machine:
    """What the program runs on a machine, in order."""

    def __init__(self, node: Any, *, holds: bool = True, taken: bool = True) -> None:
        self.calls: list[str] = []
        self._node, self._holds, self._taken = node, holds, taken
        self.stopped = False

    def run(self, *command: str, given: str | None = None) -> str:
        self.calls.append(command[0] if given is None else f"{command[0]} {'drop' if 'drop' in given else 'open'}")
        if command[0] == "systemctl":
            self.calls[-1] = " ".join(command[:2])
        return "4: eth0 inet" if command[0] == "ip" and self._holds else ""

    def answers(self, address: str, _: float) -> bool:
        return address in (OTHER, THIRD) or self._taken


def hand_over(node: Any, monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    monkeypatch.setattr(node, "run", machine.run)
    monkeypatch.setattr(node, "let_go", node.really_let_go)
    monkeypatch.setattr(node, "answers", machine.answers)
    monkeypatch.setattr(node, "stop_timer", lambda: None)
    monkeypatch.setattr(node, "end_connections", lambda _: machine.calls.append("ss --kill"))
    monkeypatch.setattr(node, "TAKING_SECONDS", 0.1)
    node.hand_over(node.Endpoint(VIP, OWN, 1))


def test_new_connections_wait_before_the_address_goes(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(node)
    hand_over(node, monkeypatch, machine)
    assert machine.calls == ["ip", "nft drop", "ss", "ss --kill", "systemd-run", "systemctl stop"]


def test_who_does_not_hold_it_only_stops_taking_part(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(node, holds=False)
    hand_over(node, monkeypatch, machine)
    assert machine.calls == ["ip", "systemd-run", "systemctl stop"], (
        "who asked may be killed: it comes back by itself"
    )


def test_an_address_that_nobody_takes_is_taken_back(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(node, taken=False)
    with pytest.raises(SystemExit, match="no other control plane has taken the address"):
        hand_over(node, monkeypatch, machine)
    assert machine.calls[-2:] == ["nft open", "systemctl start"]


def test_nothing_is_handed_over_where_no_other_one_is_ready(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "run", lambda *_, **__: pytest.fail("nothing is run"))
    with pytest.raises(SystemExit, match="the address stays here"):
        node.hand_over(node.Endpoint(VIP, OWN, 0.05))


def test_the_rules_are_nft_s_own(node: Any) -> None:
    rules = node.HELD_BACK.format(address="10.0.0.9", port=6443, seconds=8)
    command = ["unshare", "--map-root-user", "--net", "nft", "--check", "--file", "-"]
    subprocess.run(command, input=rules + node.LET_THROUGH, text=True, check=True)
