"""A machine leaves its cluster before it goes: what is done, in which order, and what is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from infra.kubernetes.api import ClusterUnreachable
from infra.kubernetes.etcd import EtcdMember, EtcdUnavailable, Membership
from infra.kubernetes.nodes import NodeFacts
from infra.kubernetes.waiting import NotReady
from infra.kvm.errors import HostError, NoRoom
from infra.lifecycle.steps import DeleteNode, WaitForHealth
from infra.node_labels import POOL_LABEL
from infra.plugin.operation import Operation
from infra.provider import cluster_view, executor, life
from infra.provider.kinds import address_holders
from infra.provider.lives import ClusterRun, Leaver
from infra.resources.control_plane import Member
from infra.resources.machine import MachineInputs, MachineState
from infra.resources.node_placement import NodePlacementInputs
from infra.resources.node_placement import Spare as SpareInputs
from tests.provider.conftest import MemoryLog
from tests.provider.test_machine_life import state

ADDRESSES = {f"cp-{number}": f"10.0.0.{number + 1}" for number in range(3)}
READY = NodeFacts(True, True, cordoned=False, pods=frozenset({"default/p"}), ended=frozenset())


@dataclass
class FakeCluster:
    """Three control planes and two workers, whose etcd and API are these fields."""

    members: list[str] = field(default_factory=lambda: list(ADDRESSES))
    sick: set[str] = field(default_factory=set)
    nodes: dict[str, NodeFacts] = field(default_factory=lambda: dict.fromkeys((*ADDRESSES, "w-0", "w-1"), READY))
    leader: str = "cp-1"
    unfinished: tuple[str, ...] = ()
    blocked: str = ""
    log: list[str] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)

    def id(self, name: str) -> int:
        return list(ADDRESSES).index(name) + 1

    # -- as etcd -------------------------------------------------------------------------------------

    def membership(self) -> Membership | None:
        healthy = [name for name in self.members if name not in self.sick]
        if not healthy:
            return None
        return Membership(
            tuple(
                EtcdMember(self.id(n), n, ADDRESSES[n], False, f"https://{ADDRESSES[n]}:2379")
                for n in self.members
            ),
            len(healthy) > len(self.members) / 2,
            frozenset(map(self.id, healthy)),
            self.id(self.leader),
        )

    def remove(self, member: int) -> None:
        (name,) = (name for name in self.members if self.id(name) == member)
        self.log.append(f"remove member {name}")
        self.members.remove(name)

    def move_leader(self, leader: str, to: int) -> None:
        self.leader = next(name for name in self.members if self.id(name) == to)
        self.log.append(f"{leader} gives the lead to {self.leader}")

    # -- as the API ----------------------------------------------------------------------------------

    def look(self, api: Any) -> dict[str, NodeFacts]:
        if len(self.sick) == len(self.members):
            raise ClusterUnreachable("nobody answers")
        return dict(self.nodes)

    def drain(self, api: Any, node: str, work: Any, *, silent: bool = False) -> None:
        self.log.append(f"drain {node}{' silently' if silent else ''}")
        if self.blocked:
            raise HostError(self.blocked)
        self.nodes[node] = replace(self.nodes[node], pods=frozenset(), cordoned=True)

    def text(self, path: str) -> str:
        return "ok"

    def delete(self, path: str) -> None:
        name = path.rpartition("/")[2]
        self.log.append(f"delete node {name}")
        self.nodes.pop(name, None)

    def items(self, path: str, **query: str) -> list[Any]:
        return []

    def uncordon(self, api: Any, names: list[str]) -> None:
        self.log.append(f"uncordon {', '.join(names)}")

    def change_protocol(self, op: Any, standing: list[Member], planes: list[Member], login: Any) -> None:
        both = [", ".join(member.name for member in members) for members in (standing, planes)]
        self.log.append(" speak with ".join(both))

    def wait_until_healthy(self, api: Any, nodes: Mapping[str, float], namespaces: Any, work: Any) -> None:
        self.log.append(f"wait for {', '.join(sorted(nodes))}: {', '.join(namespaces)}")
        if self.unfinished:
            raise NotReady(self.unfinished)

    def back_up(self, op: Any, run: Any, view: Any, planes: Any, reason: str, *, is_required: bool) -> None:
        self.snapshots.append(f"{'required, ' if is_required else ''}{reason.partition(':')[0]}; {len(self.log)}")

    def tell(self, op: Any, members: Any, peers: Mapping[str, list[str]], login: Any) -> None:
        self.log.append(f"tell {dict(peers)}")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()

    @contextmanager
    def login(member: Member, files: Any) -> Iterator[Any]:
        fake.log.append(f"log in to {member.name}")
        yield type("Shell", (), {"run": lambda *_, **__: type("Result", (), {"exit_code": 1})})()

    monkeypatch.setattr(cluster_view, "Etcd", lambda *_: fake)
    monkeypatch.setattr(cluster_view, "etcd_client", lambda keys: None)
    monkeypatch.setattr(cluster_view, "at_server", lambda *_: "")
    monkeypatch.setattr(cluster_view, "look_at_nodes", fake.look)
    for module in (life, cluster_view, executor):
        monkeypatch.setattr(module, "ClusterApi", lambda *_: fake)
    monkeypatch.setattr(executor, "drain", fake.drain)
    monkeypatch.setattr(executor, "back_up", fake.back_up)
    monkeypatch.setattr(life, "wait_until_healthy", fake.wait_until_healthy)
    monkeypatch.setattr(executor, "uncordon", fake.uncordon)
    monkeypatch.setattr(executor, "change_protocol", fake.change_protocol)
    monkeypatch.setattr(executor, "logged_in", login)
    monkeypatch.setattr(executor, "admit_nodes", lambda api, token: fake.log.append("admit"))
    monkeypatch.setattr(executor, "dismiss_token", lambda api, token: fake.log.append("admit nobody"))
    monkeypatch.setattr(address_holders, "tell", fake.tell)
    monkeypatch.setattr(life, "_PAUSE", 0.01)
    monkeypatch.setattr(executor, "_JOIN_PAUSE", 0.01)
    monkeypatch.setattr(executor, "_NOTICED_SECONDS", 0.0)
    return fake


def run_of(*planes: str, workers: tuple[str, ...] = ("w-0", "w-1")) -> ClusterRun:
    placement = NodePlacementInputs(
        instance="lab",
        cluster="a",
        kubeconfig="k",
        hosts=dict.fromkeys(workers, "h"),
        control_planes={name: ADDRESSES[name] for name in planes},
        etcd_keys={"etcd/ca.crt": "c", "etcd/ca.key": "k"},
        token="t",
        namespaces=["kube-system"],
    )
    run = ClusterRun(placement)
    for name in planes:
        run.note({"name": name, "connection": "h", "sshHostKey": "k"})
    return run


def operation() -> Operation:
    return Operation("urn:pulumi:lab::azlocal::azlocal:index:Machine::x", MemoryLog(), threading.Event())


def plane(name: str, *, lost: bool = False) -> Leaver:
    return Leaver(name, "controlPlane", ADDRESSES[name], "k", lost)


def worker(name: str) -> Leaver:
    return Leaver(name, "worker", "10.0.0.9", "k")


def test_a_control_plane_that_goes_for_good_gives_up_lead_address_and_vote_and_the_others_know(
    cluster: FakeCluster,
) -> None:
    run = run_of("cp-0")
    run.life.leave(operation(), plane("cp-1"), "its machine goes")
    assert cluster.log == [
        *("drain cp-1", "cp-1 gives the lead to cp-0", "log in to cp-1", "remove member cp-1", "delete node cp-1"),
        "tell {'cp-0': ['10.0.0.3']}",
        "wait for cp-0, w-0, w-1: kube-system",
    ]


def test_both_that_go_leave_though_each_knows_only_of_itself(cluster: FakeCluster) -> None:
    run = run_of("cp-0")
    threads = [
        threading.Thread(target=run.life.leave, args=(operation(), plane(name), "it goes"))
        for name in ("cp-1", "cp-2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert cluster.members == ["cp-0"]
    assert [line for line in cluster.log if line.startswith("tell")][-1] == "tell {'cp-0': []}"
    assert set(cluster.nodes) == {"cp-0", "w-0", "w-1"}


def test_what_a_lost_control_plane_left_goes_without_a_drain_and_it_is_admitted_when_it_comes_back(
    cluster: FakeCluster,
) -> None:
    cluster.sick.add("cp-0")
    run = run_of("cp-0", "cp-1", "cp-2")
    assert run.life.objections(operation(), plane("cp-0", lost=True), "it is replaced") == ""
    run.life.leave(operation(), plane("cp-0", lost=True), "its machine goes")
    assert cluster.log == ["remove member cp-0", "delete node cp-0"]
    run.life.arrive(operation(), plane("cp-0", lost=True))
    run.life.arrived(operation(), "cp-0")
    # Those that stand speak the version of VRRP that it speaks as soon as it has joined.
    assert cluster.log[2:] == ["cp-1, cp-2 speak with cp-0, cp-1, cp-2", "admit"]


def test_one_that_an_earlier_run_removed_is_admitted_though_the_cluster_knows_it_no_more(
    cluster: FakeCluster,
) -> None:
    cluster.members.remove("cp-0")
    del cluster.nodes["cp-0"]
    run = run_of("cp-0", "cp-1", "cp-2")
    assert run.life.objections(operation(), plane("cp-1"), "it is replaced") == "", (
        "it waits for cp-0, which this run brings back"
    )
    run.life.arrive(operation(), plane("cp-0", lost=True))
    run.life.arrived(operation(), "cp-0")
    assert cluster.log[-1] == "admit"


def test_a_drain_that_is_blocked_leaves_a_node_that_stays_as_it_was(cluster: FakeCluster) -> None:
    cluster.blocked = "a disruption budget"
    for run, undone in ((run_of(*ADDRESSES), ["uncordon w-0"]), (run_of(*ADDRESSES, workers=("w-1",)), [])):
        cluster.log.clear()
        with pytest.raises(HostError, match="a disruption budget"):
            run.life.leave(operation(), worker("w-0"), "its machine goes")
        assert cluster.log == ["drain w-0", *undone]


def test_data_that_a_killed_run_left_on_the_spare_alone_is_no_lost_quorum(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.members, cluster.leader = ["cp-2"], "cp-2"
    monkeypatch.setattr(
        cluster_view,
        "Etcd",
        lambda urls, *_: cluster if "cp-2" in urls else type("Silent", (), {"membership": lambda _: None})(),
    )
    run = run_of("cp-0")
    assert "no quorum" in run.life.objections(operation(), plane("cp-0"), "it is replaced")
    spare = SpareInputs(name="cp-2", address=f"{ADDRESSES['cp-2']}/24", mac_address="52:54:00:00:00:01")
    run.placement = run.placement.model_copy(update={"spare": spare})
    assert run.life.objections(operation(), plane("cp-0"), "it is replaced") == ""


def test_members_whose_machines_only_go_later_are_not_called_gone(cluster: FakeCluster) -> None:
    cluster.sick |= {"cp-1", "cp-2"}
    run = run_of("cp-0")
    assert "quorum-lost" not in run.life.objections(operation(), plane("cp-1"), "it goes")


def test_with_quorum_lost_nothing_is_changed_and_it_is_said_what_can_be(cluster: FakeCluster) -> None:
    cluster.sick |= {"cp-0", "cp-1"}
    run = run_of("cp-0", "cp-1", "cp-2")
    for name in ("cp-0", "cp-1"):
        run.note({"name": name, "connection": "h", "lost": True})
    assert "azlocal restore STACK a" in run.life.objections(
        operation(), plane("cp-0", lost=True), "it is replaced"
    )
    with pytest.raises(HostError, match="quorum-lost"):
        run.life.leave(operation(), plane("cp-0", lost=True), "its machine goes")
    assert cluster.log == []


def test_no_second_one_is_replaced_before_the_first_is_back(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "_HEALTH_SECONDS", 0.2)
    run = run_of("cp-0", "cp-1", "cp-2")
    run.life.leave(operation(), plane("cp-0"), "its machine goes")
    with pytest.raises(
        HostError, match=r"cp-2 can't be changed in cluster a while cp-0 has no machine.*unhealthy"
    ):
        run.life.leave(operation(), plane("cp-2"), "its machine goes")
    run.life.arrived(operation(), "cp-0")
    cluster.members.append("cp-0")
    cluster.nodes["cp-0"] = READY
    run.life.leave(operation(), plane("cp-2"), "its machine goes")
    assert cluster.members == ["cp-1", "cp-0"]


def test_workers_that_come_back_are_replaced_in_turn_and_those_that_go_are_not_held_up(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "_HEALTH_SECONDS", 0.2)
    run = run_of(*ADDRESSES)
    run.life.leave(operation(), worker("w-0"), "its machine goes")
    assert cluster.log == ["drain w-0", "delete node w-0"]
    with pytest.raises(HostError, match="w-1 can't be changed in cluster a while w-0 has no machine"):
        run.life.leave(operation(), worker("w-1"), "its machine goes")
    gone = run_of(*ADDRESSES, workers=())
    gone.life.leave(operation(), worker("w-1"), "its machine goes")
    assert "w-1" not in cluster.nodes


def test_a_worker_whose_machine_is_still_to_be_removed_holds_up_the_next_one(cluster: FakeCluster) -> None:
    run = run_of(*ADDRESSES)
    run.life._executor.do(operation(), DeleteNode(target="w-0", reason="it is replaced"), worker("w-0"))
    (step,) = run.life.next_of(worker("w-1"), "it is replaced").steps
    assert isinstance(step, WaitForHealth)
    assert step.lacks == ("w-0 has not joined",)


def test_what_ran_on_a_node_that_does_not_come_back_runs_elsewhere_before_its_machine_goes(
    cluster: FakeCluster,
) -> None:
    run = run_of(*ADDRESSES, workers=("w-1",))
    run.life.leave(operation(), worker("w-0"), "its machine goes")
    assert cluster.log[-1] == "wait for cp-0, cp-1, cp-2, w-1: kube-system", "nobody looks at the cluster after it"
    cluster.unfinished = ("deployment kube-system/coredns waits for 1 of 2 pods",)
    with pytest.raises(HostError, match="w-0 has left cluster a, which isn't healthy yet: deployment kube-system"):
        run.life.leave(operation(), worker("w-0"), "its machine goes")


def test_a_worker_that_only_comes_holds_up_nobody(cluster: FakeCluster) -> None:
    run = run_of(*ADDRESSES, workers=("w-0", "w-1", "w-2"))
    run.life.arrive(operation(), replace(worker("w-2"), lost=True))
    run.life.leave(operation(), worker("w-0"), "its machine goes")
    assert "w-0" not in cluster.nodes


def test_a_machine_comes_to_a_cluster_that_nobody_hears_of(cluster: FakeCluster) -> None:
    cluster.sick |= set(ADDRESSES)
    run = run_of(*ADDRESSES)
    run.life.arrive(operation(), plane("cp-0", lost=True))
    assert cluster.log == []


def test_what_never_became_a_node_has_nothing_to_leave(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(*ADDRESSES)
    assert run.life.knows(plane("cp-0"))
    cluster.sick |= set(ADDRESSES)
    assert run.life.knows(plane("cp-0")), "its first boot is over: a cluster that is down is still one"

    @contextmanager
    def login(member: Member, files: Any) -> Iterator[Any]:
        yield type("Shell", (), {"run": lambda *_, **__: type("Result", (), {"exit_code": 0})})()

    monkeypatch.setattr(executor, "logged_in", login)
    assert not run.life.knows(plane("cp-0"))


class Keeper:
    """Makes the spare, which joins as soon as it is made; or finds no room for it."""

    def __init__(self, cluster: FakeCluster, *, has_room: bool = True) -> None:
        self.cluster = cluster
        self.has_room = has_room
        self.made: list[MachineInputs] = []

    def session(self, op: Any, connection: str) -> Any:
        raise AssertionError(connection)

    def find(self, op: Any, inputs: MachineInputs) -> None:
        assert inputs.name == "spare"

    def make(self, op: Any, inputs: MachineInputs) -> MachineState:
        if not self.has_room:
            raise NoRoom("h has 0 MiB")
        assert inputs.first_boot.hostname == inputs.name == "spare"
        self.made.append(inputs)
        self.cluster.log.append(f"make spare at {inputs.first_boot.address}")
        self.cluster.nodes["spare"] = READY
        return MachineState(**dict(inputs) | {"uuid": "u", "ssh_host_key": "s"})

    def remove(self, op: Any, old: MachineState) -> None:
        self.cluster.log.append(f"remove {old.name}")


def with_spare(cluster: FakeCluster, *, has_room: bool = True) -> ClusterRun:
    run = run_of(*ADDRESSES, workers=("w-0",))
    spare = SpareInputs(name="spare", address="10.0.0.99/24", mac_address="52:54:00:00:00:01")
    run.placement = run.placement.model_copy(update={"spare": spare, "surging": {"w-0": "pool1"}})
    told = state(role="worker", name="w-0")
    told["firstBoot"]["node"]["labels"] = {POOL_LABEL: "pool1"}
    known = MachineInputs.model_fields
    run.planned["w-0"] = MachineInputs(
        **{name: value for name, value in MachineState.model_validate(told) if name in known}
    )
    run.keeper = Keeper(cluster, has_room=has_room)
    run.note(told)
    return run


def test_another_machine_takes_the_pods_of_a_worker_that_is_replaced_until_that_is_back(
    cluster: FakeCluster,
) -> None:
    del cluster.nodes["w-1"]
    run = with_spare(cluster)
    run.life.leave(operation(), worker("w-0"), "its machine goes")
    assert cluster.log == ["admit nobody", "make spare at 10.0.0.99/24", "drain w-0", "delete node w-0"]
    run.life.arrived(operation(), "w-0")
    cluster.nodes["w-0"] = READY
    cluster.log.clear()
    assert run.life.has_spare(operation())
    run.life.settle(operation())
    assert cluster.log == ["drain spare", "delete node spare", "remove spare"]
    assert not run.life.has_spare(operation())


def test_a_step_that_no_api_server_answered_is_looked_at_again(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = iter([ClusterUnreachable("Remote end closed connection"), None, None])

    def drain(api: Any, node: str, work: Any, *, silent: bool = False) -> None:
        if (error := next(tries)) is not None:
            raise error
        cluster.drain(api, node, work, silent=silent)

    monkeypatch.setattr(executor, "drain", drain)
    run_of("cp-0").life.leave(operation(), plane("cp-1"), "its machine goes")
    assert cluster.log[:2] == ["drain cp-1", "cp-1 gives the lead to cp-0"]


def test_a_member_that_etcd_lets_not_go_yet_is_asked_to_go_again(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, tries = cluster.remove, iter([EtcdUnavailable("etcdserver: unhealthy cluster"), None])

    def refuse_first(member: int) -> None:
        if (error := next(tries)) is not None:
            raise error
        remove(member)

    monkeypatch.setattr(cluster, "remove", refuse_first)
    run_of("cp-0").life.leave(operation(), plane("cp-1"), "its machine goes")
    assert "remove member cp-1" in cluster.log
    assert cluster.log.index("remove member cp-1") < cluster.log.index("delete node cp-1")


def test_where_there_is_no_room_for_another_machine_workers_are_replaced_without_one(cluster: FakeCluster) -> None:
    del cluster.nodes["w-1"]
    run, op = with_spare(cluster, has_room=False), operation()
    run.life.leave(op, worker("w-0"), "its machine goes")
    assert cluster.log == ["admit nobody", "drain w-0", "delete node w-0"]
    assert isinstance(op.log, MemoryLog)
    assert ("warning", "no other machine takes the pods of workers that are replaced: h has 0 MiB") in op.log.lines


def test_a_worker_takes_no_pods_before_it_forwards_packets_where_others_do_that_already(
    cluster: FakeCluster,
) -> None:
    run = with_spare(cluster)
    comer = run.planned["w-0"]

    def is_told_to_wait() -> bool | None:
        settings = run.life.beside(comer).node_settings
        return settings.joins_workers if settings else None

    assert is_told_to_wait()
    cluster.nodes["w-1"] = replace(READY, withheld=True)
    assert not is_told_to_wait(), "else nobody would take pods"
    del cluster.nodes["w-1"]
    assert not is_told_to_wait(), "control planes don't"
    run.life.leave(operation(), worker("w-0"), "its machine goes")
    assert isinstance(run.keeper, Keeper)
    assert [made.node_settings.joins_workers for made in run.keeper.made if made.node_settings] == [True]


# -- snapshots --------------------------------------------------------------------------------------


def test_a_snapshot_comes_before_the_first_step_that_changes_a_control_plane(cluster: FakeCluster) -> None:
    run = run_of(*ADDRESSES)
    run.life.leave(operation(), worker("w-0"), "its machine goes")
    assert cluster.snapshots == []
    run = run_of("cp-0")
    cluster.nodes["w-0"] = READY
    cluster.log.clear()
    run.life.leave(operation(), plane("cp-1"), "its machine goes")
    assert cluster.snapshots[0] == "drain cp-1; 0", "not required: another one has the data, too"


def test_one_comes_before_a_control_plane_joins(cluster: FakeCluster) -> None:
    cluster.members.remove("cp-2")
    del cluster.nodes["cp-2"]
    run_of(*ADDRESSES).life.arrive(operation(), plane("cp-2", lost=True))
    assert cluster.snapshots == ["cp-2 comes; 0"]
