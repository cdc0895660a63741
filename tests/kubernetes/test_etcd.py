"""What is told of etcd's members, and what is changed, by three real ones on the loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import subprocess
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography import x509

from infra.certificates import (
    CLIENT,
    SERVER,
    alternative_names,
    certificate_pem,
    issue,
    key_pem,
    load_key,
    new_key,
    x509_name,
)
from infra.kubernetes.etcd import Etcd, EtcdError, EtcdUnavailable, Membership
from infra.kubernetes.pki import etcd_client, generate_pki
from tests.kubernetes_plugin.apiserver import program
from tests.ports import free_port
from tests.waiting import eventually

NAMES = ("cp-0", "cp-1", "cp-2")


@dataclass
class Members:
    """Three members of etcd, with the certificates that kubeadm gives them."""

    folder: Path
    keys: dict[str, str]
    clients: dict[str, str] = field(
        default_factory=lambda: {name: f"https://127.0.0.1:{free_port()}" for name in NAMES}
    )
    peers: dict[str, str] = field(
        default_factory=lambda: {name: f"https://127.0.0.1:{free_port()}" for name in NAMES}
    )
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, cluster: str = "", state: str = "new") -> None:
        files = {"cert": "server.crt", "key": "server.key", "trusted-ca": "ca.crt"}
        own = [f"--{option}-file={self.folder / file}" for option, file in files.items()]
        peer = [f"--peer-{option}-file={self.folder / file}" for option, file in files.items()]
        command = [
            *(str(program("etcd")), "--name", name, "--data-dir", str(self.folder / name), "--unsafe-no-fsync"),
            *("--listen-client-urls", self.clients[name], "--advertise-client-urls", self.clients[name]),
            *("--listen-peer-urls", self.peers[name], "--initial-advertise-peer-urls", self.peers[name]),
            *("--initial-cluster", cluster or ",".join(f"{each}={url}" for each, url in self.peers.items())),
            *("--initial-cluster-state", state),
            *(*own, *peer, "--client-cert-auth", "--peer-client-cert-auth", "--log-level=error"),
        ]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    @property
    def etcd(self) -> Etcd:
        return Etcd(self.clients, self.keys["etcd/ca.crt"], etcd_client(self.keys))


def write_certificates(folder: Path) -> dict[str, str]:
    """Write what a member serves with, and return the keys of its cluster."""
    keys, key, now = generate_pki().files, new_key(), datetime.now(UTC)
    authority = x509.load_pem_x509_certificate(keys["etcd/ca.crt"].encode())
    certificate = issue(
        x509_name("cp"),
        key.public_key(),
        authority.subject,
        load_key(keys["etcd/ca.key"]),
        now - timedelta(minutes=5),
        now + timedelta(hours=1),
        alternative_names(["127.0.0.1"]),
        x509.ExtendedKeyUsage([*CLIENT, *SERVER]),
    )
    (folder / "ca.crt").write_text(keys["etcd/ca.crt"])
    (folder / "server.crt").write_text(certificate_pem(certificate))
    (folder / "server.key").write_text(key_pem(key))
    return keys


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    if program("etcd") is None:
        pytest.skip("etcd isn't built here")
    cluster = Members(tmp_path, write_certificates(tmp_path))
    try:
        for name in NAMES:
            cluster.start(name)
        eventually(lambda: len(healthy(cluster.etcd)) == 3, f"three members answer; see {tmp_path}")
        yield cluster
    finally:
        for name in list(cluster.processes):
            cluster.stop(name)


def told(etcd: Etcd) -> Membership:
    membership = etcd.membership()
    assert membership is not None
    return membership


def healthy(etcd: Etcd) -> set[str]:
    membership = etcd.membership()
    return {m.name for m in membership.members if m.id in membership.healthy} if membership else set()


def leader(etcd: Etcd) -> str:
    membership = told(etcd)
    return next((member.name for member in membership.members if member.id == membership.leader), "")


@pytest.mark.engine  # etcd is built
def test_the_life_of_three_members(members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.kubernetes.etcd._ANSWER_SECONDS", 1.0)
    etcd = members.etcd
    first = told(etcd)
    assert {member.name for member in first.members} == set(NAMES)
    assert {member.address for member in first.members} == {"127.0.0.1"}
    assert first.agreed
    ids = {member.name: member.id for member in first.members}

    leads = leader(etcd)
    other, lost = sorted(set(NAMES) - {leads})
    etcd.move_leader(leads, ids[other])
    eventually(lambda: leader(etcd) == other, "the other one leads")
    etcd.move_leader(leads, ids[other])  # it isn't the leader any more, which is what was wanted

    members.stop(lost)
    eventually(lambda: healthy(etcd) == {leads, other}, "who doesn't answer isn't called healthy")
    assert told(etcd).agreed
    etcd.remove(ids[lost])
    etcd.remove(ids[lost])  # it is gone already
    assert {member.name for member in told(etcd).members} == {leads, other}

    alone = Etcd({leads: members.clients[leads]}, members.keys["etcd/ca.crt"], etcd_client(members.keys))
    assert healthy(alone) == {leads, other}, "members that only etcd knows are asked, too"

    members.stop(other)
    eventually(lambda: not told(etcd).agreed, "one of two decides nothing")
    assert {member.name for member in told(etcd).members} == {leads, other}, "but remembers who there was"
    assert healthy(etcd) == set()
    with pytest.raises(EtcdError, match="etcd can't be changed"):
        etcd.remove(ids[other])

    members.stop(leads)
    assert etcd.membership() is None


@pytest.mark.engine
def test_a_snapshot_needs_no_quorum_and_makes_a_cluster_to_which_others_come(members: Members) -> None:
    etcd = members.etcd
    leads = leader(etcd)
    assert set(etcd.revisions()) == set(NAMES)
    first, *others = [leads, *sorted(set(NAMES) - {leads})]
    for name in others:
        members.stop(name)
    eventually(lambda: not told(etcd).agreed, "one of three decides nothing")
    with etcd.snapshot(first) as snapshot:
        content = b"".join(snapshot)
    assert (len(content), hashlib.sha256(content).hexdigest()) == (snapshot.size, snapshot.sha256)
    with pytest.raises(EtcdError, match="doesn't answer"), etcd.snapshot(others[0]):
        pass

    file, etcdutl = members.folder / "snapshot.db", program("etcdutl")
    file.write_bytes(content)
    members.stop(first)
    for name in NAMES:
        shutil.rmtree(members.folder / name)
    url = members.peers[first]
    command = [str(etcdutl), "snapshot", "restore", str(file), "--data-dir", str(members.folder / first)]
    command += ["--name", first, "--initial-cluster", f"{first}={url}", "--initial-advertise-peer-urls", url]
    subprocess.run(
        [*command, "--bump-revision", "1000000000", "--mark-compacted"], check=True, capture_output=True
    )
    members.start(first)
    eventually(lambda: healthy(etcd) == {first}, "it is alone, and decides")
    assert etcd.revisions()[first] >= 1_000_000_000
    joined = [first]
    for name in others:
        id = eventually(lambda name=name: added(members, name), f"{name} may come")  # type: ignore[misc]
        assert id is not None
        joined.append(name)
        members.start(name, ",".join(f"{each}={members.peers[each]}" for each in joined), "existing")
        eventually(lambda id=id: promoted(etcd, id), f"{name} has caught up")  # type: ignore[misc]
        etcd.promote(id)  # it has its vote already, which is what was wanted
        eventually(lambda joined={*joined}: healthy(etcd) == joined, f"{name} answers")  # type: ignore[misc]
    assert not any(member.learner for member in told(etcd).members)


def added(members: Members, name: str) -> int | None:
    """Add a learner; None while etcd takes no change, for the others aren't connected for long enough."""
    try:
        return members.etcd.add_learner(members.peers[name])
    except EtcdUnavailable:
        return None


def promoted(etcd: Etcd, member: int) -> bool:
    try:
        etcd.promote(member)
    except EtcdError:
        return False
    return True


@pytest.mark.engine
def test_who_isn_t_of_the_authority_is_told_nothing(members: Members) -> None:
    stranger = Etcd(members.clients, members.keys["etcd/ca.crt"], etcd_client(generate_pki().files))
    assert stranger.membership() is None


@pytest.mark.engine
def test_values_are_told_page_by_page_by_the_quorum_or_by_one_member(members: Members) -> None:
    etcd = members.etcd
    for number in range(230):
        pair = {"key": coded(f"/registry/secrets/a/{number:03}"), "value": coded(f"value {number}")}
        etcd._change("kv/put", pair, etcd.urls.values())
    for other in ("/registry/secretsofothers", "/registry/secrets0"):
        etcd._change("kv/put", {"key": coded(other), "value": coded("another's")}, etcd.urls.values())
    expected = [f"value {number}".encode() for number in range(230)]
    assert [*etcd.values(b"/registry/secrets/")] == expected
    for name in ("cp-0", "cp-1"):
        members.stop(name)
    assert [*etcd.values(b"/registry/secrets/", "cp-2")] == expected, "without a quorum"
    with pytest.raises(EtcdError, match="etcd can't be read"):
        [*etcd.values(b"/registry/secrets/")]


class Electing(BaseHTTPRequestHandler):
    """A member that refuses each call's first try, as one does while a leader is chosen."""

    asked: ClassVar[Counter[str]]

    def do_POST(self) -> None:
        """Refuse once, and answer as if nothing were stored."""
        self.asked[self.path] += 1
        electing = self.asked[self.path] == 1
        self.send_response(503 if electing else 200)
        self.end_headers()
        answer = {"header": {"revision": "7"}, "result": {"blob": coded("piece"), "remaining_bytes": "3"}}
        self.wfile.write(json.dumps({"error": "etcdserver: leader changed"} if electing else answer).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def electing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Etcd]:
    keys = write_certificates(tmp_path)
    monkeypatch.setattr(Electing, "asked", Counter(), raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Electing) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_address[1]}"
        yield Etcd({"cp-0": url}, keys["etcd/ca.crt"], etcd_client(keys))
        server.shutdown()


def test_a_snapshot_waits_for_a_leader_to_be_chosen(electing: Etcd) -> None:
    assert electing.revisions() == {"cp-0": 7}
    with electing.snapshot("cp-0") as snapshot:
        assert snapshot.size == len(b"piece") + 3 + 32
    assert [*electing.values(b"/registry/secrets/", "cp-0")] == []
    assert set(Electing.asked) == {"/v3/maintenance/status", "/v3/maintenance/snapshot", "/v3/kv/range"}


def test_what_goes_through_consensus_is_not_repeated(electing: Etcd) -> None:
    with pytest.raises(EtcdUnavailable, match="leader changed"):
        electing.add_learner("https://127.0.0.1:2380")
    assert Electing.asked == {"/v3/cluster/member/add": 1}


def coded(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
