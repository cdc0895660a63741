"""A machine takes other login keys, another maxPods, labels and taints as it runs."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.guest import Seed, generate_host_key
from infra.guest.kubernetes_node import FOLDER
from infra.kvm.connection import Hosts
from infra.kvm.errors import HostError
from infra.model.first_boot import FirstBoot
from infra.model.machine_traits import TRAITS
from infra.provider.kinds import machine as machine_kind
from infra.provider.kinds import machine_patches
from infra.provider.kinds.machine import MachineKind
from infra.provider.kinds.machine_patches import is_as_it_was_made, patch_machine
from infra.provider.lives import ClusterRun
from infra.resources.changes import Refused, diff
from infra.resources.contract import OnChange
from infra.resources.machine import MACHINE, MachineInputs, MachineState
from infra.ssh import Dial, LocalShell, SshError
from tests.provider.conftest import MemoryLog
from tests.provider.test_kinds import operation
from tests.provider.test_machine_life import PLACEMENT, Life, kind_with, state

A, B, MINE = "ssh-ed25519 AAAA a", "ssh-ed25519 BBBB b", "ssh-ed25519 CCCC mine"
FLAGS = 'KUBELET_KUBEADM_ARGS="--max-pods=110 --node-ip=10.0.0.2"\n'


def worker(keys: Collection[str] = (A,), **node: Any) -> MachineState:
    """Return a worker's state, of which the digest is as today's azlocal has it."""
    wire = state("worker", name="local-a-w-0")
    boot = wire["firstBoot"]
    wire["firstBoot"] = boot | {"authorizedKeys": [*keys], "node": boot["node"] | node}
    known = {name: value for name, value in wire.items() if name in MACHINE.properties}
    assert MachineKind(Hosts()).check(known, frozenset()) == []
    return MachineState.model_validate(wire | {"seedDigest": known["seedDigest"], "running": True})


def wanted(machine: MachineState) -> MachineInputs:
    wire = machine.to_wire()
    return MachineInputs.model_validate({name: wire[name] for name in MACHINE.properties})


@dataclass
class Machine:
    """A machine, as it is logged in to: its home folder, and what it says of a login."""

    home: Path
    lets: bool | None = True
    tried: list[list[str]] = field(default_factory=list)
    files: tuple[str, ...] = ()

    @property
    def keys(self) -> Path:
        return self.home / ".ssh/authorized_keys"

    @contextmanager
    def shell(self) -> Iterator[LocalShell]:
        yield LocalShell()

    def lets_in(self, keys: Collection[str]) -> bool:
        assert all(key in self.keys.read_text() for key in keys)
        self.tried.append([*keys])
        if self.lets is None:
            raise SshError("no route")
        return self.lets


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / ".ssh").mkdir()
    made = Machine(tmp_path)
    made.keys.write_text(f"{A}\n{MINE}\n")
    made.keys.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))

    def target(user: str, address: str, host_key: str, files: tuple[str, ...], *, dial: Dial) -> Machine:
        assert (user, address, host_key) == ("azlocal", "10.0.0.1", "s")
        made.files = files
        return made

    monkeypatch.setattr(machine_patches, "MachineTarget", target)
    return made


def no_dial(address: str, port: int, *, timeout: float = 1) -> Any:
    raise AssertionError("nobody connects")


def patch(old: MachineState, new: MachineState, cluster: ClusterRun | None = None) -> dict[str, Any]:
    return patch_machine(operation("Machine"), old, old, wanted(new), cluster, no_dial)


# -- login keys --------------------------------------------------------------------------------------


def test_a_new_key_is_tried_before_the_old_one_goes(machine: Machine) -> None:
    told = patch(worker([A]), worker([B]))
    assert machine.keys.read_text() == f"{MINE}\n{B}\n"
    assert machine.keys.stat().st_mode & 0o777 == 0o600
    assert machine.tried == [[B]]
    assert told == {"firstBoot": worker([B]).first_boot.to_wire(), "seedDigest": worker([B]).seed_digest}
    patch(worker([A]), worker([B]))
    assert machine.keys.read_text() == f"{MINE}\n{B}\n", "an interrupted run is repeated"


def test_a_key_that_only_comes_needs_no_try(machine: Machine) -> None:
    patch(worker([A]), worker([A, B]))
    assert machine.keys.read_text() == f"{A}\n{MINE}\n{B}\n"
    assert machine.tried == []


@pytest.mark.parametrize(("lets", "why"), [(False, "none of the new ones logs in from here"), (None, "no route")])
def test_where_no_new_key_logs_in_the_old_ones_stay(machine: Machine, lets: bool | None, why: str) -> None:
    machine.lets = lets
    with pytest.raises(HostError, match=why):
        patch(worker([A]), worker([B]))
    assert machine.keys.read_text() == f"{A}\n{MINE}\n"


def test_the_keys_of_before_log_in(machine: Machine) -> None:
    old, new = worker([A]), wanted(worker([B])).model_copy(update={"identity_files": ["new"]})
    known = old.model_copy(update={"identity_files": ["old"]})
    run = ClusterRun(PLACEMENT.model_copy(update={"identity_files": ["new", "of the cluster"]}))
    patch_machine(operation("Machine"), old, known, new, run, no_dial)
    assert machine.files == ("new", "old", "of the cluster")


def test_labels_and_taints_need_no_login(machine: Machine) -> None:
    machine.keys.unlink()
    told = patch(worker(labels={"a": "b"}), worker(taints=["a:NoExecute"]))
    assert told["firstBoot"]["node"]["taints"] == ["a:NoExecute"]


# -- maxPods -----------------------------------------------------------------------------------------


def join_file(max_pods: int) -> str:
    """Return what kubeadm joins by, as a worker's seed has it."""
    machine = worker(maxPods=max_pods)
    seed = Seed(machine.name, machine.first_boot, TRAITS["container"]).render(generate_host_key())
    with tarfile.open(fileobj=io.BytesIO(seed["node.tar"])) as archive:
        file = archive.extractfile(f"{FOLDER}/join.yaml")
        assert file is not None
        return file.read().decode()


@pytest.fixture
def node(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine whose kubelet's files are in its folder, too."""
    home = machine.home
    (home / "flags").write_text(FLAGS)
    (home / "join.yaml").write_text(join_file(110))
    script = machine_patches._SET_MAX_PODS
    script = re.sub(r"flags=\S+", f"flags={home}/flags", re.sub(r"join=\S+", f"join={home}/join.yaml", script))
    monkeypatch.setattr(machine_patches, "_SET_MAX_PODS", script)
    programs = home / "programs"
    programs.mkdir()
    for name, text in {
        "sudo": 'exec "$@"',
        "systemctl": f'echo "$1" >>{home}/asked',
        "curl": f'[ "$(tail -1 {home}/asked)" = restart ]',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return machine


def cluster_with(pods: int | None) -> ClusterRun:
    run = ClusterRun(PLACEMENT)
    run.__dict__["life"] = type("Life", (), {"pods_on": staticmethod(lambda name: pods)})
    return run


def test_kubelet_is_told_by_its_flag_and_starts_again(node: Machine) -> None:
    patch(worker(maxPods=None), worker(maxPods=200))
    assert (node.home / "flags").read_text() == FLAGS.replace("110", "200")
    assert (node.home / "join.yaml").read_text() == join_file(200)
    assert (node.home / "asked").read_text().split() == ["is-active", "restart"]
    (node.home / "flags").write_text(FLAGS.replace("--max-pods=110 ", ""))
    patch(worker(maxPods=200), worker(maxPods=50), cluster_with(50))
    assert (node.home / "flags").read_text() == FLAGS.replace("110", "50")
    assert node.tried == []


def test_a_machine_that_is_no_node_yet_finds_the_number_where_its_seed_left_it(node: Machine) -> None:
    (node.home / "flags").unlink()
    patch(worker(maxPods=110), worker(maxPods=50), cluster_with(0))
    assert (node.home / "join.yaml").read_text() == join_file(50)
    assert not (node.home / "asked").exists()


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (cluster_with(21), r"21 pods run there, and kubelet would end those beyond \(max-pods-running\)"),
        (cluster_with(None), "before it is known how many pods run there"),
        (None, "run without --target"),
    ],
)
def test_fewer_pods_than_run_is_refused(node: Machine, run: ClusterRun | None, why: str) -> None:
    with pytest.raises(HostError, match=why):
        patch(worker(maxPods=110), worker(maxPods=20), run)
    assert (node.home / "flags").read_text() == FLAGS


# -- what preview says -------------------------------------------------------------------------------


def refined(
    old: MachineState, new: MachineState, pods: int | None = None
) -> tuple[dict[str, OnChange], list[str]]:
    kind, lives = kind_with(Life())
    run, log = lives.of("local-a"), MemoryLog()
    assert run is not None
    run.__dict__["life"] = cluster_with(pods).life
    changes = diff(MACHINE, old.to_wire(), new.to_wire())
    kind.refine(old.to_wire(), new.to_wire(), changes, operation("Machine", log))
    return changes.by_path, [text for level, text in log.lines if level == "info"]


def test_a_label_is_an_update_though_the_seed_would_have_another_one() -> None:
    changes, told = refined(worker(labels={}), worker(labels={"example.com/tier": "web"}))
    assert changes == {
        'firstBoot.node.labels["example.com/tier"]': OnChange.UPDATE,
        "seedDigest": OnChange.UPDATE,
    }
    assert told == ["local-a-w-0 is patched as it runs: label example.com/tier none → web"]


def test_a_seed_of_another_azlocal_stays_what_it_was() -> None:
    old = worker(labels={}).model_copy(update={"seed_digest": "of another azlocal"})
    new = worker(labels={"a": "b"})
    changes, told = refined(old, new)
    assert changes == {"firstBoot.node.labels.a": OnChange.UPDATE}
    assert [text.partition(" ")[2][:20] for text in told] == ["stays on the node im", "is patched as it run"]
    assert "seedDigest" not in patch(old, new), "or the next run would take it for one of today's"


def test_the_record_has_nothing_that_the_machine_was_not_told() -> None:
    """The tags of a newer bundle are no patch."""
    old, new = worker(labels={}), worker(labels={"a": "b"}, imageTags={"etcd": "new"})
    told = FirstBoot.model_validate(patch(old, new)["firstBoot"])
    assert told.node is not None
    assert (told.node.labels, told.node.image_tags) == ({"a": "b"}, {})


def test_fewer_pods_than_run_is_refused_in_preview_where_the_cluster_answers() -> None:
    with pytest.raises(Refused, match="21 pods run there"):
        refined(worker(maxPods=110), worker(maxPods=20), pods=21)
    for pods in (20, None):
        changes, _ = refined(worker(maxPods=110), worker(maxPods=20), pods=pods)
        assert changes["firstBoot.node.maxPods"] is OnChange.UPDATE


def test_a_seed_that_is_not_known_is_not_compared() -> None:
    news = wanted(worker()).to_wire() | {"seedDigest": "04da6b54-80e4-46f7-96ec-b56ff0331ba9", "firstBoot": "x"}
    assert not is_as_it_was_made(worker().to_wire(), news)


# -- the record --------------------------------------------------------------------------------------


class Standing:
    """A machine on its host: what its domain records."""

    exists = True

    def __init__(self, made: MachineState) -> None:
        self.made, self.mark = made, "mark"
        wire = made.to_wire()
        self.record = {name: wire[name] for name in ("image", "firstBoot", "seedDigest", "sshHostKey")}
        self.defined = 0

    def is_disk_gone(self) -> bool:
        return False

    def wipe_seed(self) -> None:
        return

    @property
    def definition(self) -> Any:
        return type("View", (), {"record": self.record})

    def settle(self, wanted: Any, gib: int, **_: Any) -> None:
        assert wanted.record["firstBoot"] == self.record["firstBoot"], "nothing was patched yet"

    def define(self, wanted: Any) -> None:
        self.record, self.defined = {**wanted.record}, self.defined + 1

    def state(self, known: MachineInputs) -> MachineState:
        record = {name: self.record[name] for name in ("image", "firstBoot", "seedDigest", "sshHostKey")}
        return MachineState.model_validate(self.made.to_wire() | known.to_wire() | record)


def test_the_record_follows_and_an_image_that_is_newer_does_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = worker([A], labels={"a": "b"}), worker([B], labels={"c": "d"})
    standing = Standing(old)
    kind, _ = kind_with(Life())

    @contextmanager
    def session(op: Any, connection: str) -> Iterator[Any]:
        yield type("Session", (), {"shell": type("Shell", (), {"dial": staticmethod(no_dial)})})

    monkeypatch.setattr(kind, "session", session)
    monkeypatch.setattr(machine_kind, "_machine", lambda *_: standing)
    monkeypatch.setattr(machine_kind, "state_of", lambda _, known: standing.state(known))
    monkeypatch.setattr(machine_kind, "wait_for_host_key", lambda *_, **__: None)
    news = wanted(new).model_copy(update={"image": "newer", "vcpus": 4})
    state = kind.update(operation("Machine"), "x", old, news)
    assert machine.keys.read_text() == f"{MINE}\n{B}\n"
    assert (state.first_boot, state.seed_digest, state.image) == (new.first_boot, new.seed_digest, old.image)
    assert diff(MACHINE, state.to_wire(), news.to_wire()).by_path == {"image": OnChange.REPLACE}
    kind.update(operation("Machine"), "x", state, news)
    assert standing.defined == 1
    machine.lets = False
    with pytest.raises(HostError, match="stay as they are"):
        kind.update(operation("Machine"), "x", state, wanted(old))
    assert standing.record["firstBoot"] == new.first_boot.to_wire()
