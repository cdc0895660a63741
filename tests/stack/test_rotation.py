"""A rotation as its command does it: what it refuses, in which order it acts, and that it tells nobody a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import UserError
from infra.guest.encryption import encryption_file
from infra.model.encryption_keys import EncryptionKeys, key_name, new_encryption_key
from infra.ssh import FileMissing
from infra.stack.clusters import StackCluster
from infra.stack.restore.keys import needed
from infra.stack.restore.planes import Standing
from infra.stack.rotation import flow
from infra.stack.rotation import planes as planes_module
from infra.stack.rotation.flow import Rotation, is_due, refuse_unless_whole

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OLD, NEW = new_encryption_key(), new_encryption_key()
FILE = "/etc/kubernetes/azlocal/encryption.yaml"


@dataclass
class Machine:
    """A control plane as a shell sees it: files, and a script that starts its API server again."""

    files: dict[str, bytes]
    log: list[str]
    name: str
    loaded: bytes = b""

    def read_file(self, path: str) -> bytes:
        if path not in self.files:
            raise FileMissing(path)
        return self.files[path]

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        assert mode == 0o600
        self.files[path] = data

    def run(self, argv: list[str], *, input: bytes = b"", timeout: float = 0) -> None:
        assert not any(key in str(argv) for key in (OLD, NEW)), "who lists processes sees no key"
        if argv == ["sh", "-s"]:
            self.loaded = self.files[FILE]
            self.log.append(f"{self.name} restarts")


@dataclass
class Cluster:
    """A cluster of three control planes, and the state that has it."""

    keys: EncryptionKeys
    log: list[str] = field(default_factory=list)
    machines: dict[str, Machine] = field(default_factory=dict)
    under: str = key_name(OLD)
    nodes: list[str] = field(default_factory=lambda: ["cp-0", "cp-1", "cp-2"])

    def __post_init__(self) -> None:
        for name in self.nodes:
            self.machines[name] = Machine({FILE: encryption_file([OLD]).encode()}, self.log, name)

    @property
    def seen(self) -> StackCluster:
        def etcd(planes: Any) -> Any:
            return SimpleNamespace(values=lambda prefix: [f"k8s:enc:secretbox:v1:{self.under}:\0".encode()])

        known = {
            "name": "a",
            "keys": self.keys,
            "planes": dict.fromkeys(self.machines),
            "placement": SimpleNamespace(kubeconfig="k", spare=None),
            "etcd": etcd,
        }
        return SimpleNamespace(**known)  # type: ignore[return-value]

    def tell(self, _: StackCluster, keys: EncryptionKeys) -> None:
        self.keys = keys
        self.log.append("state: " + " ".join(NAMES[key] for key in keys.current))


NAMES = {OLD: "old", NEW: "new"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(EncryptionKeys((OLD,)).with_new(NEW, NOW))

    class Plane:
        def __init__(self, _: Any, name: str) -> None:
            self.name, self.address = name, name

        def shell(self) -> Any:
            from contextlib import nullcontext

            return nullcontext(made.machines[self.name])

    class Api:
        def __init__(self, kubeconfig: str) -> None:
            self.kubeconfig = kubeconfig

        def items(self, path: str, **_: str) -> list[dict[str, Any]]:
            return [{"metadata": {"name": name}} for name in made.nodes]

    def rewrite(_: Any) -> int:
        writers = {json_keys(machine.loaded)[0] for machine in made.machines.values()}
        (made.under,) = writers
        made.log.append("rewrite")
        return 1

    monkeypatch.setattr(flow, "Plane", Plane)
    monkeypatch.setattr(flow, "ClusterApi", Api)
    monkeypatch.setattr(flow, "rewrite_secrets", rewrite)
    monkeypatch.setattr(flow, "cluster_of", lambda stack, name: made.seen)
    monkeypatch.setattr(planes_module, "ClusterApi", Api)
    monkeypatch.setattr(planes_module, "at_server", lambda kubeconfig, address: address)
    answering: Callable[..., None] = lambda api, work: made.log.append(f"{api.kubeconfig} answers")  # noqa: E731
    monkeypatch.setattr(planes_module, "wait_until_answering", answering)
    return made


def json_keys(content: bytes) -> list[str]:
    text = content.decode()
    return [line.rpartition(" ")[2] for line in text.splitlines() if "name: key-" in line]


STEPS = [
    *("cp-0 restarts", "cp-0 answers", "cp-1 restarts", "cp-1 answers", "cp-2 restarts", "cp-2 answers"),
]


def test_all_learn_the_new_key_then_write_by_it_then_forget_the_old_one(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    Rotation(None, cluster.seen, cluster.tell).finish()  # type: ignore[arg-type]
    assert cluster.log == [*STEPS, "state: new old", *STEPS, "rewrite", *STEPS, "state: new"]
    assert (cluster.keys.current, cluster.keys.retired) == ((NEW,), (OLD,))
    said = "".join(capsys.readouterr())
    assert key_name(NEW) in said
    assert NEW not in said
    assert OLD not in said


@pytest.mark.parametrize("killed", range(27))
def test_a_rotation_that_is_killed_goes_on_where_it_was(
    cluster: Cluster, killed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    class Log(list[str]):
        def append(self, line: str) -> None:
            super().append(line)
            if len(self) == killed:
                raise Killed

    cluster.log = Log()
    for machine in cluster.machines.values():
        machine.log = cluster.log
    try:
        Rotation(None, cluster.seen, cluster.tell).finish()  # type: ignore[arg-type]
    except Killed:
        killed = -1
        Rotation(None, cluster.seen, cluster.tell).finish()  # type: ignore[arg-type]
    assert {tuple(json_keys(machine.loaded)) for machine in cluster.machines.values()} == {(key_name(NEW),)}
    assert (cluster.keys.current, cluster.under) == ((NEW,), key_name(NEW))


def test_a_control_plane_that_state_does_not_have_is_no_surprise_later(cluster: Cluster) -> None:
    cluster.nodes.append("cp-3")
    with pytest.raises(UserError, match="cp-3 is a control plane of cluster a that state doesn't have"):
        Rotation(None, cluster.seen, cluster.tell).finish()  # type: ignore[arg-type]
    assert cluster.log == []


def test_what_nobody_can_read_and_what_azlocal_did_not_write_are_named(cluster: Cluster) -> None:
    cluster.under = "key-00000000"
    with pytest.raises(UserError, match="has Secrets under key-00000000, and neither state nor a control plane"):
        Rotation(None, cluster.seen, cluster.tell).look()  # type: ignore[arg-type]
    cluster.machines["cp-1"].files[FILE] += b"# mine\nother: {}\n"
    with pytest.raises(UserError, match=r"cp-1: its encryption.yaml isn't as azlocal writes it") as refused:
        Rotation(None, cluster.seen, cluster.tell).look()  # type: ignore[arg-type]
    assert OLD not in str(refused.value)
    del cluster.machines["cp-1"].files[FILE]
    with pytest.raises(UserError, match=r"cp-1 has no /etc/kubernetes/azlocal/encryption\.yaml"):
        Rotation(None, cluster.seen, cluster.tell).look()  # type: ignore[arg-type]


def test_a_state_that_another_run_has_changed_is_not_gone_on_with(cluster: Cluster) -> None:
    def lost(_: StackCluster, keys: EncryptionKeys) -> None:
        """Tell nobody."""

    with pytest.raises(UserError, match="state doesn't have the keys of cluster a that it was told"):
        Rotation(None, cluster.seen, lost).finish()  # type: ignore[arg-type]


def test_all_control_planes_have_to_run_and_no_change_is_under_way(cluster: Cluster) -> None:
    seen = cluster.seen
    refuse_unless_whole(seen, {"cp-0": "runs", "cp-1": "runs"})
    absences: tuple[Standing, ...] = ("off", "gone")
    for how in absences:
        with pytest.raises(UserError, match="cp-1 of cluster a doesn't run, and would come back without the new"):
            refuse_unless_whole(seen, {"cp-0": "runs", "cp-1": how})
    placement: Any = seen.placement
    placement.spare = SimpleNamespace(name="a-spare")
    refuse_unless_whole(seen, {"cp-0": "runs", "a-spare": "gone"})
    with pytest.raises(UserError, match="a-spare stands in cluster a"):
        refuse_unless_whole(seen, {"cp-0": "runs", "a-spare": "runs"})


def test_a_key_is_due_after_a_month_or_when_nobody_knows_or_when_it_is_not_alone() -> None:
    young = EncryptionKeys((OLD,), (), {key_name(OLD): NOW.isoformat()})
    assert not is_due(young, NOW + timedelta(days=30))
    assert is_due(young, NOW + timedelta(days=30, seconds=1))
    assert is_due(replace(young, made={}), NOW)
    assert is_due(young.with_new(NEW, NOW), NOW)


def test_a_restore_needs_the_retired_keys_that_a_snapshot_was_taken_under() -> None:
    keys = EncryptionKeys((NEW,), (OLD, "older"))
    new, old, older = map(key_name, (NEW, OLD, "older"))
    assert needed(keys, (new,)) == (new,)
    assert needed(keys, (new, old)) == (new, old)
    assert needed(keys, ("", older)) == (new, older)
    assert needed(keys, None) == (new, old, older), "it may be any"
    assert json.dumps(needed(keys, None)).count("key-") == 3
