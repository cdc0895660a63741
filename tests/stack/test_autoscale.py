"""The loop that scales pools: what it looks at, what it does and says, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UserError
from infra.kubernetes.api import ClusterUnreachable
from infra.kubernetes.scheduling import Scheduling
from infra.lifecycle.scaling.objects import Node, Pod
from infra.lifecycle.scaling.view import Profile
from infra.model.run import PoolSizes
from infra.node_labels import POOL_LABEL
from infra.spec import load_instance
from infra.spec.auto_scaler import AutoScalerProfile, time_of
from infra.stack import autoscale
from infra.stack.autoscale import Autoscaler
from infra.stack.command import Signals
from infra.stack.scaling_view import profile_of, scaling_clusters, view_of
from infra.stack.state import Stack
from tests.instances import cluster, files, make_spec, write_files

SCALES = {
    "name": "pool1",
    "count": 1,
    "vmSize": "Small",
    "enableAutoScaling": True,
    "minCount": 1,
    "maxCount": 3,
    "nodeLabels": {"tier": "web"},
    "nodeTaints": ["dedicated=web:NoSchedule"],
    "maxPods": 50,
}
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(hours=1)
GIB = 1 << 30


def node(name: str, **more: Any) -> Node:
    allocatable = {"cpu": 2000, "memory": 2 * GIB * 1000, "pods": 110_000}
    return Node(name, allocatable, created=LONG_AGO, ready_since=LONG_AGO, **more)


def pod(name: str, on: str = "") -> Pod:
    requests = {"cpu": 1500, "pods": 1000}
    return Pod("default", name, requests, node=on, unschedulable=not on, created=LONG_AGO, owner="ReplicaSet")


@dataclass
class World:
    """A stack of a cluster, and what is done with it.

    Attributes:
        folder: Where its files are.
        seen: What its API server says; an error: that it doesn't answer.
        sizes: What the engine was told, run by run.
        code: How the engine ends.
        locks: Who has the stack.
        noted: What was noted on nodes.
    """

    folder: Path
    seen: Scheduling | UserError
    sizes: list[PoolSizes] = field(default_factory=list)
    code: int = 0
    locks: list[dict[str, Any]] = field(default_factory=list)
    noted: list[dict[str, Any]] = field(default_factory=list)
    signals: Signals = field(default_factory=Signals)

    @property
    def stack(self) -> Stack:
        world = self

        class Stood(Stack):
            def deployment(self) -> dict[str, Any]:
                return {"resources": [{"type": "azlocal:index:Machine", "outputs": {"name": "lab-a-pool1-0"}}]}

            def locks(self) -> Any:
                return iter(world.locks)

        return Stood("lab", self.folder, "")

    def scaler(self, cluster: str | None = None) -> Autoscaler:
        return Autoscaler(self.stack, cluster, self.signals, ("-p", "4"), self.resize)

    def resize(self, stack: Stack, sizes: PoolSizes, *options: str) -> int:
        assert options == ("-p", "4")
        self.sizes.append(sizes)
        self.signals.came = len(self.sizes) > 1
        return self.code


FULL = Scheduling((node("lab-a-pool1-0"),), (pod("there", "lab-a-pool1-0"), pod("web")), (), {})
IDLE = Scheduling(
    (node("lab-a-pool1-0"), node("lab-a-pool1-1", unneeded_since=LONG_AGO)),
    (pod("there", "lab-a-pool1-0"),),
    (),
    {},
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    write_files(tmp_path, files([cluster("a", agentPools=[SCALES])]))
    made = World(tmp_path, FULL)

    def look(_api: object) -> Scheduling:
        if isinstance(made.seen, UserError):
            raise made.seen
        return made.seen

    monkeypatch.setattr(autoscale, "look_at_scheduling", look)
    monkeypatch.setattr(autoscale, "note_unneeded", lambda _api, _nodes, since: made.noted.append(dict(since)))
    monkeypatch.setattr(Autoscaler, "api", lambda *_: None)
    return made


def untainted(world: World) -> None:
    write_files(world.folder, files([cluster("a", agentPools=[{**SCALES, "nodeTaints": [], "nodeLabels": {}}])]))


def test_a_pod_that_finds_no_node_is_an_up_with_one_more(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.scaler().once() == 0
    assert world.sizes == [{"a": {"pool1": 2}}]
    said = capsys.readouterr().err
    assert "azlocal: cluster a: pool pool1 grows from 1 to 2: no node takes default/web\n" in said
    assert "azlocal: cluster a: pool pool1 has 2 nodes after 0 s\n" in said


def test_a_run_that_fails_is_told_and_is_the_command_s_end(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.code = 255
    assert world.scaler().once() == 1
    assert "the run for pool pool1 failed" in capsys.readouterr().err


def test_nothing_to_do_is_no_run_and_says_why_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.seen = Scheduling((node("lab-a-pool1-0"),), (pod("web"), pod("there", "lab-a-pool1-0")), (), {})
    write_files(world.folder, files([cluster("a", agentPools=[{**SCALES, "maxCount": 1}])]))
    scaler = world.scaler()
    assert (scaler.once(), scaler.once()) == (0, 0)
    assert world.sizes == []
    assert capsys.readouterr().err.count("pool pool1 doesn't grow: it has maxCount 1") == 1


def test_what_is_to_be_remembered_is_noted_on_nodes(world: World) -> None:
    world.seen = Scheduling((node("lab-a-pool1-0"),), (), (), {})
    assert world.scaler().once() == 0
    assert world.noted == [{"lab-a-pool1-0": None}]


def test_the_loop_looks_until_a_signal_comes(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.scaler().run(0.01) == 0
    assert len(world.sizes) == 2
    said = capsys.readouterr().err
    assert "this is azlocal's own loop, and not the upstream cluster-autoscaler" in said
    assert "at the pools a/pool1 1-3" in said
    assert said.endswith("azlocal: stopped; what stands stays as it is\n")


def test_after_a_run_that_failed_the_loop_waits_longer(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    profile = {"scale-down-delay-after-failure": "20ms"}
    write_files(world.folder, files([cluster("a", agentPools=[SCALES], autoScalerProfile=profile)]))
    world.code = 1
    assert world.scaler().run(0.001) == 0
    assert "the next look is in 0 s" in capsys.readouterr().err


def test_what_does_not_answer_is_told_once_and_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.seen = ClusterUnreachable("the API server doesn't answer")
    looks: list[float] = []

    def wait(_signals: Signals, seconds: float) -> None:
        looks.append(seconds)
        world.signals.came = len(looks) == 3

    monkeypatch.setattr(Signals, "wait", wait)
    assert world.scaler().run(7) == 0
    assert looks == [7, 7, 7]
    assert capsys.readouterr().err.count("the API server doesn't answer") == 1
    with pytest.raises(ClusterUnreachable):
        World(world.folder, world.seen).scaler().once()


def test_files_that_break_meanwhile_are_told_and_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (world.folder / "Pulumi.lab.yaml").read_text()

    def wait(_signals: Signals, _seconds: float) -> None:
        (world.folder / "Pulumi.lab.yaml").write_text(text)

    scaler = world.scaler()
    monkeypatch.setattr(scaler, "_begin", lambda _: (world.folder / "Pulumi.lab.yaml").write_text("config: ["))
    monkeypatch.setattr(Signals, "wait", wait)
    assert scaler.run(None) == 0
    assert "yaml-syntax" in capsys.readouterr().err
    assert len(world.sizes) == 2


def test_another_run_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = {"hostname": socket.gethostname(), "pid": 1 << 22, "username": "me"}
    world.locks = [dead, {"hostname": socket.gethostname(), "pid": os.getppid()}]
    waits: list[float] = []

    def wait(_signals: Signals, seconds: float) -> None:
        waits.append(seconds)
        assert world.sizes == []
        if len(waits) == 2:
            world.locks = [dead]

    monkeypatch.setattr(Signals, "wait", wait)
    assert world.scaler().once() == 0
    assert len(waits) == 2
    assert world.sizes == [{"a": {"pool1": 2}}]
    assert capsys.readouterr().err.count("waits for another run of lab") == 1


def test_a_cluster_that_is_not_there_or_does_not_scale_is_an_error(world: World) -> None:
    with pytest.raises(UserError, match="no cluster 'b'; it has a"):
        world.scaler("b").once()
    write_files(world.folder, files([cluster("a")]))
    with pytest.raises(UserError, match="write `enableAutoScaling: true`"):
        world.scaler().run(1)
    with pytest.raises(UserError, match="no pool of cluster a scales by itself"):
        world.scaler("a").once()


def test_bare_machines_do_not_scale() -> None:
    spec = make_spec(cluster("a", agentPools=[SCALES], provisioning="machines"), cluster("b", agentPools=[SCALES]))
    assert [one.name for one in scaling_clusters(spec, None)] == ["b"]


def test_a_view_has_the_pools_that_scale_with_the_size_that_they_have(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster("a", agentPools=[SCALES, {"name": "fixed", "count": 2}])]))
    view = view_of(load_instance("lab", tmp_path), "a", {"a": {"pool1": 2}}, IDLE, NOW)
    (pool,) = view.pools
    assert (pool.name, pool.size, pool.least, pool.most) == ("pool1", 2, 1, 3)
    assert pool.machines == ("lab-a-pool1-0", "lab-a-pool1-1", "lab-a-pool1-2")
    assert pool.template.allocatable["cpu"] == 2000
    assert pool.template.allocatable["pods"] == 50_000
    assert 0 < pool.template.allocatable["memory"] < 2 * GIB * 1000
    assert pool.template.labels.items() >= {"tier": "web", POOL_LABEL: "pool1"}.items()
    assert [str(taint) for taint in pool.template.taints] == ["dedicated=web:NoSchedule"]
    assert (view.nodes, view.pods) == (IDLE.nodes, IDLE.pods)


def test_a_profile_is_aks_s_texts() -> None:
    assert profile_of(AutoScalerProfile()) == Profile()
    written = {
        "expander": "random",
        "scale-down-unneeded-time": "1m30s",
        "scale-down-utilization-threshold": "0.7",
        "skip-nodes-with-system-pods": "false",
        "max-empty-bulk-delete": "10",
    }
    profile = profile_of(AutoScalerProfile.model_validate(written))
    assert profile == Profile(
        unneeded_time=timedelta(seconds=90), utilization_threshold=0.7, skips_system_pods=False
    )
    assert time_of("1h0.5m10s") == timedelta(hours=1, seconds=40)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_wait_and_is_no_error(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Signals().noted() as signals:
        os.kill(os.getpid(), number)
        signals.wait(60)
    assert signals.came
    assert signal.getsignal(number) is before
