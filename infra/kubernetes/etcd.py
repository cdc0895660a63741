"""A cluster's etcd, spoken with at its members' own addresses: it answers where no API server does.

By the JSON that each member serves beside gRPC (etcd.io/docs: "gRPC gateway"), with a client certificate that the
cluster's etcd authority signs here. No tool on a node is needed, and no login to one, which may be gone.
"""

from __future__ import annotations

import json
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import urllib3

from infra.certificates import KeyPair
from infra.errors import UserError
from infra.kubernetes.etcd_snapshot import EtcdSnapshot
from infra.kubernetes.memory_file import MemoryFile

PORT: Final = 2379
_AT_ONCE: Final = 8
_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 10.0  # a change goes through consensus, which may wait for an election
_SNAPSHOT_SECONDS: Final = 60.0  # between two pieces of it
_CHUNK_BYTES: Final = 1 << 16
_PAGE: Final = 100  # values of 1 MiB at most
_ONCE: Final = urllib3.Retry(0, redirect=0)
# While a leader is chosen, a member refuses even what it answers from its own data, for a second or two. What goes
# through consensus waits for that by itself, and is the caller's to repeat.
_THROUGH_ELECTION: Final = urllib3.Retry(
    5,
    connect=0,
    read=0,
    redirect=0,
    other=0,
    allowed_methods=None,
    status_forcelist={HTTPStatus.SERVICE_UNAVAILABLE},
    backoff_factor=0.5,
    backoff_max=2,
    raise_on_status=False,
)


class EtcdError(UserError):
    """No member of etcd answers, or etcd refuses a change."""


class EtcdUnavailable(EtcdError):
    """Not now: members are silent, choose a leader, or haven't been connected with the others for five seconds.

    Without the last, etcd lets no member go ("unhealthy cluster": server/etcdserver/server.go, HealthInterval).
    """


@dataclass(frozen=True)
class EtcdMember:
    """A member, as etcd's list has it.

    Attributes:
        id: etcd's number for it.
        name: Empty until it has started.
        address: Of its peer URL; empty where that names none.
        learner: Without a vote.
        url: Where it listens for clients; empty until it has started.
    """

    id: int
    name: str
    address: str
    learner: bool
    url: str


@dataclass(frozen=True)
class Membership:
    """Who etcd's members are, as far as any of them tells.

    Attributes:
        members: All of them.
        agreed: Whether a quorum agreed to the list; else a member remembers it.
        healthy: The ids of those that answered for themselves, know a leader, and have no alarm.
        leader: The leader's id; 0 where none is known.
    """

    members: tuple[EtcdMember, ...]
    agreed: bool
    healthy: frozenset[int]
    leader: int


class Etcd:
    """A cluster's etcd.

    Attributes:
        urls: By machine, where its member listens for clients.
    """

    def __init__(self, urls: Mapping[str, str], authority: str, client: KeyPair) -> None:
        """Remember where it is; nothing is asked yet.

        Args:
            urls: By machine, `https://ADDRESS:2379`.
            authority: The certificate, PEM, that members' are checked by.
            client: A certificate of that authority's for a client.
        """
        self.urls = dict(urls)
        self._authority = authority
        self._client = client

    def membership(self) -> Membership | None:
        """Return who the members are; None where not one of them answers."""
        known = set(self.urls.values())
        with self._pool() as pool, ThreadPoolExecutor(_AT_ONCE) as threads:
            answers = [look for look in threads.map(lambda url: _look(pool, url), known) if look is not None]
            if not answers:
                return None
            best = max(answers, key=lambda look: (look.agreed, len(look.members)))
            # Members that only etcd knows: those of machines that leave at the same time.
            others = {member.url for member in best.members if member.url} - known
            answers += [look for look in threads.map(lambda url: _look(pool, url), others) if look is not None]
        leaders = [look.leader for look in answers if look.leader]
        return Membership(
            best.members,
            best.agreed,
            frozenset(look.id for look in answers if look.leader and not look.alarmed),
            leaders[0] if leaders else 0,
        )

    def revisions(self) -> dict[str, int]:
        """Return the newest revision that each machine's member has; those that don't answer aren't among them."""
        revisions = {}
        with self._pool(_THROUGH_ELECTION) as pool:
            for machine, url in self.urls.items():
                with suppress(EtcdError):
                    revisions[machine] = _revision(_ask(pool, url, "maintenance/status", {}))
        return revisions

    @contextmanager
    def snapshot(self, machine: str) -> Iterator[EtcdSnapshot]:
        """Yield a snapshot, as a machine's member sends it; it needs no quorum for that.

        Raises:
            EtcdError: The member doesn't answer, or refuses.
            SnapshotError: What it sends is no snapshot.
        """
        url, call = self.urls[machine], "maintenance/snapshot"
        with self._pool(_THROUGH_ELECTION) as pool:
            revision = _revision(_ask(pool, url, "maintenance/status", {}))
            timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_SNAPSHOT_SECONDS)
            try:
                answer = pool.request(
                    "POST", f"{url}/v3/{call}", body="{}", preload_content=False, timeout=timeout
                )
                with closing(answer):
                    if answer.status >= 400:
                        raise EtcdError(f"{url} refuses {call}: {answer.read(300).decode(errors='replace')}")
                    yield EtcdSnapshot(answer.stream(_CHUNK_BYTES), revision)
            except urllib3.exceptions.HTTPError as error:
                raise EtcdError(f"{url} sends no snapshot: {error}") from error

    def values(self, prefix: bytes, machine: str | None = None) -> Iterator[bytes]:
        """Yield the values of all keys that begin so.

        Args:
            prefix: How they begin.
            machine: Whose member tells what it has, be it without a quorum; None: what the quorum agreed to.

        Raises:
            EtcdError: The member doesn't answer, or none does.
        """
        urls = [*self.urls.values()] if machine is None else [self.urls[machine]]
        after, end = prefix, prefix[:-1] + bytes([prefix[-1] + 1])
        while True:
            body = {
                "key": _coded(after),
                "range_end": _coded(end),
                "limit": str(_PAGE),
                "serializable": machine is not None,
            }
            retries = _ONCE if machine is None else _THROUGH_ELECTION
            page = self._first("kv/range", body, urls, "can't be read", retries=retries)
            for entry in page.get("kvs") or []:
                after = b64decode(entry["key"]) + b"\0"
                yield b64decode(entry.get("value", ""))
            if not page.get("more"):
                return

    def add_learner(self, peer_url: str) -> int:
        """Add a member without a vote; return its id.

        Raises:
            EtcdError: No member does it.
        """
        body = {"peerURLs": [peer_url], "isLearner": True}
        answer = self._change("cluster/member/add", body, self.urls.values())
        return int(answer["member"]["ID"])

    def promote(self, member: int) -> None:
        """Give a learner that has caught up its vote.

        Raises:
            EtcdError: It hasn't caught up yet, or no member does it.
        """
        body = {"ID": str(member)}
        # Of one that hasn't caught up it goes on: "… which is in sync with leader".
        done = 'can only promote a learner member"'
        self._change("cluster/member/promote", body, self.urls.values(), done=done)

    def remove(self, member: int) -> None:
        """Remove a member; success where it is none any more.

        Raises:
            EtcdError: No member does it.
        """
        self._change("cluster/member/remove", {"ID": str(member)}, self.urls.values(), done="member not found")

    def move_leader(self, leader: str, to: int) -> None:
        """Have another member lead; only the leader can do that.

        Args:
            leader: The machine whose member leads.
            to: The other member's id.

        Raises:
            EtcdError: It doesn't.
        """
        urls = [self.urls[leader]] if leader in self.urls else []
        self._change("maintenance/transfer-leadership", {"targetID": str(to)}, urls, done="not leader")

    def _change(
        self, call: str, body: Mapping[str, Any], urls: Iterable[str], *, done: str | None = None
    ) -> dict[str, Any]:
        """Have the first member that can do it change something; `done` is in what they say where it is done."""
        return self._first(call, body, urls, "can't be changed", done)

    def _first(
        self,
        call: str,
        body: Mapping[str, Any],
        urls: Iterable[str],
        fault: str,
        done: str | None = None,
        *,
        retries: urllib3.Retry = _ONCE,
    ) -> dict[str, Any]:
        """Return what the first member says that can do it; `fault` is what is wrong where none can.

        Raises:
            EtcdUnavailable: None can just now.
            EtcdError: One refuses for good.
        """
        refusals: list[EtcdError] = []
        with self._pool(retries) as pool:
            for url in urls:
                try:
                    return _ask(pool, url, call, body)
                except EtcdError as error:
                    if done is not None and done in str(error):
                        return {}
                    refusals.append(error)
        passes = bool(refusals) and all(isinstance(each, EtcdUnavailable) for each in refusals)
        reasons = "; ".join(map(str, refusals)) or "no member is known"
        raise (EtcdUnavailable if passes else EtcdError)(f"etcd {fault} ({call}): {reasons}")

    @contextmanager
    def _pool(self, retries: urllib3.Retry = _ONCE) -> Iterator[urllib3.PoolManager]:
        context = ssl.create_default_context(cadata=self._authority)
        file = MemoryFile("etcd-client", f"{self._client.certificate}\n{self._client.key}".encode())
        try:
            context.load_cert_chain(file.path)
        finally:
            file.close()
        pool = urllib3.PoolManager(
            ssl_context=context,
            retries=retries,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_ANSWER_SECONDS),
        )
        try:
            yield pool
        finally:
            pool.clear()


@dataclass(frozen=True)
class _Look:
    """What one member says."""

    id: int
    members: tuple[EtcdMember, ...]
    agreed: bool
    leader: int
    alarmed: bool


def _look(pool: urllib3.PoolManager, url: str) -> _Look | None:
    """Return what a member says; None where it doesn't answer."""
    try:
        status = _ask(pool, url, "maintenance/status", {})
    except EtcdError:
        return None
    listed, agreed = _listed(pool, url)
    return _Look(
        id=int(status["header"]["member_id"]),
        members=tuple(_member(entry) for entry in listed.get("members") or []),
        agreed=agreed,
        leader=int(status.get("leader", 0)),
        alarmed=bool(status.get("errors")),  # NOSPACE, CORRUPT, or that it knows no leader
    )


def _coded(key: bytes) -> str:
    return b64encode(key).decode("ascii")


def _revision(status: Mapping[str, Any]) -> int:
    return int(status["header"].get("revision", 0))


def _listed(pool: urllib3.PoolManager, url: str) -> tuple[Mapping[str, Any], bool]:
    """Return the list of members, and whether a quorum agreed to it; a learner tells none."""
    for agreed in (True, False):
        with suppress(EtcdError):
            return _ask(pool, url, "cluster/member/list", {"linearizable": agreed}), agreed
    return {}, False


def _member(entry: Mapping[str, Any]) -> EtcdMember:
    url = next(iter(entry.get("peerURLs") or []), "")
    return EtcdMember(
        id=int(entry["ID"]),
        name=entry.get("name", ""),
        address=urllib3.util.parse_url(url).host or "",
        learner=bool(entry.get("isLearner")),
        url=next(iter(entry.get("clientURLs") or []), ""),
    )


def _ask(pool: urllib3.PoolManager, url: str, call: str, body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        answer = pool.request("POST", f"{url}/v3/{call}", body=json.dumps(body))
    except urllib3.exceptions.HTTPError as error:
        raise EtcdUnavailable(f"{url} doesn't answer: {error}") from error
    text = answer.data.decode(errors="replace")
    if answer.status >= 400:
        refusal = EtcdUnavailable if answer.status == HTTPStatus.SERVICE_UNAVAILABLE else EtcdError
        raise refusal(f"{url} refuses {call}: {text.strip()[:300]}")
    decoded: dict[str, Any] = json.loads(text)
    return decoded
