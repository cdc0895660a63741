"""The planner's promises, on thousands of clusters that are changed, killed and robbed of machines on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from infra.lifecycle.observed import Certificates
from infra.lifecycle.planner import Decision, begin_worker, decide, leave, settle
from infra.lifecycle.route import route
from infra.lifecycle.steps import (
    CreateMachine,
    DestroyMachine,
    DistributeImage,
    Drain,
    FinishUpgrade,
    Join,
    JoinAsLearner,
    Promote,
    Step,
    WaitForHealth,
)
from infra.lifecycle.wanted import Build, Wanted, WantedNode
from tests.lifecycle.world import World, settle_down

VERSIONS = ("1.32.9", "1.33.5", "1.34.4", "1.35.4", "1.36.3")
BUILDS = {version: f"image-{version}" for version in VERSIONS}
SPARE = "a-spare"
_MOST = 600
# Shrinking takes minutes here; what fails is told with its steps, and repeated from its seed.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)

counts = st.sampled_from((1, 3, 5))
pools = st.dictionaries(st.sampled_from(("x", "y")), st.integers(0, 3), max_size=2)


def wanted_of(
    planes: int, workers: dict[str, int], version: str, *, patch: str = "", spare: bool = True
) -> Wanted:
    build = Build(version, BUILDS[version] + patch)
    nodes = [WantedNode(f"a-cp-{number}", "controlPlane", build) for number in range(planes)]
    nodes += [
        WantedNode(f"a-{pool}-{number}", "worker", build, pool)
        for pool, count in sorted(workers.items())
        for number in range(count)
    ]
    return Wanted("a", tuple(nodes), SPARE if spare else "", BUILDS)


@st.composite
def wishes(draw: st.DrawFn) -> list[Wanted]:
    """Draw what is wanted one after the other; versions don't fall."""
    spare = draw(st.booleans())
    first, *rest = sorted(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
    wishes: list[Wanted] = []
    for number in (first, *rest):
        planes = draw(counts)
        can_roll = spare or planes > 1
        version = VERSIONS[number] if can_roll or not wishes else wishes[-1].nodes[0].build.version
        patch = draw(st.sampled_from(("", "-patched"))) if can_roll else ""
        if not can_roll and wishes:
            patch = wishes[-1].nodes[0].build.image.removeprefix(BUILDS[version])
        wishes.append(wanted_of(planes, draw(pools), version, patch=patch, spare=spare))
    return wishes


def live(
    world: World, wanted: Wanted, data: st.DataObject | None = None, losses: int = 0, edits: int = 0
) -> Decision:
    """Do what the planner says until it says no more; with `data`, in parts, and with accidents between."""
    for _ in range(_MOST):
        world.forget(wanted)
        settle_down(world, wanted)
        decision = decide(wanted, world.observe())
        if not decision.steps:
            return decision
        steps = list(decision.steps)
        if data is not None:
            steps = data.draw(st.permutations(steps))[: data.draw(st.integers(1, len(steps)))]
            if edits and data.draw(st.integers(0, 12)) == 0:
                return decision
            if losses and data.draw(st.integers(0, 12)) == 0:
                losses -= 1
                accident(world, data)
                continue  # what was decided before isn't done after
        try:
            world.take(steps)
        except AssertionError as error:
            raise AssertionError("\n".join(map(str, world.log[-40:]))) from error
    raise AssertionError(f"it doesn't end: {decide(wanted, world.observe())} {[*map(str, world.log[-40:-20])]}")


def accident(world: World, data: st.DataObject) -> None:
    names = sorted(name for name, machine in world.machines.items() if machine.stands)
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    ends: Certificates = data.draw(st.sampled_from(("due", "ended")))
    match data.draw(st.sampled_from(("lost", "off", "sick", "marked", "certificates"))):
        case "lost":
            world.lose(name)
        case "off":
            world.machines[name] = replace(world.machines[name], runs=False)
        case "sick":
            world.sick.add(name)
        case "marked":
            # As `pulumi up --replace` of a machine: not of the only control plane without a spare address.
            if len(world.voters()) > 1 or world.machines[name].role == "worker":
                world.machines[name] = replace(world.machines[name], marked=True)
        case "certificates":
            if world.machines[name].role == "controlPlane":
                world.machines[name] = replace(world.machines[name], certificates=ends)


def is_as_wanted(world: World, wanted: Wanted) -> bool:
    planes = {node.name for node in wanted.planes}
    return (
        {name: machine.build for name, machine in world.machines.items() if machine.stands}
        == {node.name: node.build for node in wanted.nodes}
        and set(world.voters()) == planes
        and not [vote for vote in world.votes.values() if vote.learner]
        and world.nodes.keys() == {node.name for node in wanted.nodes}
        and not [node for node in world.nodes.values() if node.cordoned]
        and world.configured == world.add_ons == wanted.planes[0].build.version
        and all(world.answers(name) for name in world.machines)
    )


def fresh(wanted: Wanted) -> World:
    return World(images={node.build.image for node in wanted.nodes})


@settings(max_examples=100, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(wishes=wishes(), data=st.data())
def test_every_way_of_being_killed_and_losing_machines_ends_as_wanted_or_with_quorum_lost(
    wishes: list[Wanted], data: st.DataObject
) -> None:
    world = fresh(wishes[0])
    for number, wanted in enumerate(wishes):
        live(world, wanted, data, losses=2, edits=number < len(wishes) - 1)
    last = wishes[-1]
    decision = live(world, last)
    rules = {refusal.rule for refusal in decision.refusals}
    if world.is_lost():
        assert rules == {"quorum-lost"}, rules
    elif not rules & {"downgrade", "no-spare-address"}:
        assert decision.is_done, decision
        assert is_as_wanted(world, last)


@settings(max_examples=40, deadline=None, phases=_PHASES)
@given(wishes=wishes())
def test_preview_lists_the_steps_that_are_taken(wishes: list[Wanted]) -> None:
    world = fresh(wishes[0])
    for wanted in wishes:
        listed = [step for decision in route(wanted, world.observe()) for step in decision.steps]
        taken = len(world.log)
        assert live(world, wanted).is_done
        assert [(type(step), step.target) for step in world.log[taken:]] == [
            (type(step), step.target) for step in listed
        ]
        assert is_as_wanted(world, wanted)


def taken(world: World, wanted: Wanted) -> list[str]:
    before = len(world.log)
    assert live(world, wanted).is_done
    return [str(step).partition(":")[0] for step in world.log[before:]]


def standing(planes: int, workers: dict[str, int], version: str = "1.34.4", *, spare: bool = True) -> World:
    wanted = wanted_of(planes, workers, version, spare=spare)
    world = fresh(wanted)
    assert live(world, wanted).is_done
    return world


def test_one_control_plane_becomes_three_one_after_the_other() -> None:
    world = standing(1, {"x": 1})
    assert taken(world, wanted_of(3, {"x": 1}, "1.34.4")) == [
        "create a-cp-1 from 1.34.4 (image-1.34.4)",
        "create a-cp-2 from 1.34.4 (image-1.34.4)",
        *("a-cp-1 joins etcd as a learner", "a-cp-1 gets its vote in etcd"),
        *("a-cp-2 joins etcd as a learner", "a-cp-2 gets its vote in etcd"),
    ]


def test_three_become_one_with_the_leader_moved_and_each_member_removed_before_its_machine() -> None:
    world = standing(3, {})
    world.leader = next(id for id, vote in world.votes.items() if vote.machine == "a-cp-2")
    assert taken(world, wanted_of(1, {}, "1.34.4")) == [
        *("drain a-cp-2", "etcd's leadership goes from a-cp-2 to a-cp-0", "remove a-cp-2 from etcd"),
        *("delete the Node a-cp-2", "remove the machine a-cp-2"),
        *("drain a-cp-1", "remove a-cp-1 from etcd", "delete the Node a-cp-1", "remove the machine a-cp-1"),
    ]


def test_a_lost_control_plane_is_replaced_after_what_it_left_is_removed() -> None:
    world = standing(3, {})
    world.lose("a-cp-0")
    assert taken(world, wanted_of(3, {}, "1.34.4")) == [
        *("remove what a-cp-0 left in etcd", "delete the Node a-cp-0"),
        "create a-cp-0 from 1.34.4 (image-1.34.4)",
        *("a-cp-0 joins etcd as a learner", "a-cp-0 gets its vote in etcd"),
    ]


def test_two_lost_of_five_come_back() -> None:
    world = standing(5, {})
    world.lose("a-cp-0")
    world.lose("a-cp-4")
    wanted = wanted_of(5, {}, "1.34.4")
    assert live(world, wanted).is_done
    assert is_as_wanted(world, wanted)


def test_with_quorum_lost_nothing_is_done_and_it_is_said_what_can_be() -> None:
    world = standing(3, {})
    world.lose("a-cp-0")
    world.lose("a-cp-1")
    (refusal,) = decide(wanted_of(3, {}, "1.34.4"), world.observe()).refusals
    assert str(refusal) == (
        "etcd of cluster a has lost its quorum: of 3 members, a-cp-0, a-cp-1 are gone; bring their disks back; "
        "or restore the cluster from what still stands or from a snapshot (`azlocal restore STACK a`), and run "
        "`pulumi up` again; or, if it may go, remove it from the stack's file, run `pulumi up`, and add it again "
        "(quorum-lost)"
    )


def test_three_that_are_switched_off_are_started_and_not_called_lost() -> None:
    world = standing(3, {"x": 1})
    for name, machine in world.machines.items():
        world.machines[name] = replace(machine, runs=False)
    steps = taken(world, wanted_of(3, {"x": 1}, "1.34.4"))
    assert steps == ["start a-cp-0", "start a-cp-1", "start a-cp-2", "start a-x-0"]


def test_a_spare_that_is_switched_off_is_started_before_what_is_lost_counts() -> None:
    """It may hold the data alone: nobody else knows that the lost control plane had left etcd before."""
    world = standing(1, {})
    spare = WantedNode(SPARE, "controlPlane", world.machines["a-cp-0"].build)
    world.take([CreateMachine(target=SPARE, reason="it is rolled", node=spare)])
    world.take([JoinAsLearner(target=SPARE, reason="it is rolled"), Promote(target=SPARE, reason="it is rolled")])
    world.votes = {id: vote for id, vote in world.votes.items() if vote.machine == SPARE}
    world.leader = next(iter(world.votes))
    world.lose("a-cp-0")
    world.machines[SPARE] = replace(world.machines[SPARE], runs=False)
    assert taken(world, wanted_of(1, {}, "1.34.4"))[0] == f"start {SPARE}"


def test_certificates_that_all_ended_are_renewed_together_and_else_one_by_one() -> None:
    world = standing(3, {})
    for name, machine in world.machines.items():
        world.machines[name] = replace(machine, certificates="ended")
    steps = decide(wanted_of(3, {}, "1.34.4"), world.observe()).steps
    assert [step.target for step in steps] == ["a-cp-0", "a-cp-1", "a-cp-2"]
    world = standing(3, {})
    for name, machine in world.machines.items():
        world.machines[name] = replace(machine, certificates="due")
    steps = decide(wanted_of(3, {}, "1.34.4"), world.observe()).steps
    assert [step.target for step in steps] == ["a-cp-0"]


def rules_of(wanted: Wanted, world: World) -> set[str]:
    return {refusal.rule for refusal in decide(wanted, world.observe()).refusals}


def test_each_edit_that_would_cost_the_cluster_is_refused_by_its_rule() -> None:
    three, one = standing(3, {"x": 1}), standing(1, {}, "1.33.5", spare=False)
    build = three.machines["a-cp-0"].build
    two = Wanted("a", tuple(WantedNode(f"a-cp-{number}", "controlPlane", build) for number in range(2)))
    assert rules_of(two, three) == {"even-control-planes"}
    assert rules_of(Wanted("a", ()), three) == {"last-control-plane"}
    assert rules_of(wanted_of(3, {}, "1.33.5"), three) == {"downgrade"}
    far = wanted_of(1, {}, "1.36.3")
    assert rules_of(replace(far, builds={"1.35.4": "x"}), standing(1, {}, "1.33.5")) == {"skipped-minor"}
    assert rules_of(wanted_of(1, {}, "1.34.4", spare=False), one) == {"no-spare-address"}
    older = replace(wanted_of(3, {}, "1.36.3"), nodes=(*wanted_of(3, {}, "1.36.3").nodes, worker("1.32.9")))
    assert rules_of(older, three) == {"kubelet-skew"}


def worker(version: str) -> WantedNode:
    return WantedNode("a-z-0", "worker", Build(version, ""), "z")


def test_nothing_is_changed_while_another_control_plane_is_sick() -> None:
    world = standing(3, {})
    world.sick.add("a-cp-0")
    (step,) = decide(wanted_of(1, {}, "1.34.4"), world.observe()).steps
    # a-cp-2 leaves first, and a-cp-0 has to be sound for that.
    assert isinstance(step, WaitForHealth)
    assert "etcd's member on a-cp-0 isn't known to be healthy" in step.lacks


def test_what_is_broken_and_goes_anyway_goes_first() -> None:
    world = standing(3, {})
    world.sick.add("a-cp-1")
    (step,) = decide(wanted_of(1, {}, "1.34.4"), world.observe()).steps
    assert isinstance(step, Drain)
    assert (step.target, step.silent) == ("a-cp-1", True)


def test_several_minors_of_one_edit_go_one_by_one_and_workers_skip() -> None:
    world = standing(1, {"x": 2}, "1.32.9")
    steps = taken(world, wanted_of(1, {"x": 2}, "1.34.4"))
    made = [step for step in steps if step.startswith("create")]
    assert made == [
        *(f"create {name} from 1.33.5 (image-1.33.5)" for name in (SPARE, "a-cp-0")),
        *(f"create {name} from 1.34.4 (image-1.34.4)" for name in (SPARE, "a-cp-0", SPARE, "a-x-0", "a-x-1")),
    ]
    before = [
        steps.index(step) for step in ("bring kube-proxy and CoreDNS to 1.33.5", "prepare the cluster for 1.34.4")
    ]
    assert before == sorted(before)
    assert steps.index("bring the node image image-1.33.5 to all hosts") < steps.index("drain a-cp-0")


def test_workers_follow_where_the_next_minor_would_leave_them_too_far_behind() -> None:
    world = standing(3, {"x": 1}, "1.32.9")
    assert live(world, wanted_of(3, {"x": 1}, "1.36.3")).is_done
    made = [
        step.node.build.version for step in world.log if isinstance(step, CreateMachine) and step.target == "a-x-0"
    ]
    assert made == ["1.32.9", "1.35.4", "1.36.3"]


def test_what_an_earlier_spare_left_in_etcd_goes_before_another_one_is_made() -> None:
    """As one did that began to join when the run was killed; the new one would pass for one that is joining."""
    world, wanted = standing(1, {}, "1.33.5"), wanted_of(1, {}, "1.34.4")
    spare = WantedNode(SPARE, "controlPlane", world.machines["a-cp-0"].build)
    world.take([CreateMachine(target=SPARE, reason="it is rolled", node=spare)])
    world.take([JoinAsLearner(target=SPARE, reason="it is rolled")])
    world.lose(SPARE)
    world.configured = "1.34.4"
    (step,) = leave(wanted, world.observe(), "a-cp-0", "it goes").steps
    assert str(step).partition(":")[0] == f"remove what {SPARE} left in etcd"
    world.take([step])
    (step,) = leave(wanted, world.observe(), "a-cp-0", "it goes").steps
    assert isinstance(step, DistributeImage)


def test_an_upgrade_that_was_only_prepared_is_taken_back() -> None:
    world = standing(3, {}, "1.33.5")
    newer = wanted_of(3, {}, "1.34.4")
    while not any(step.text.startswith("prepare") for step in world.log):
        world.take(decide(newer, world.observe()).steps)
    assert taken(world, wanted_of(3, {}, "1.33.5")) == ["prepare the cluster for 1.33.5"]


def test_workers_that_go_together_are_all_cordoned_before_one_is_drained() -> None:
    world = standing(1, {"x": 3})
    steps = taken(world, wanted_of(1, {"x": 1}, "1.34.4"))
    assert steps[:4] == ["cordon a-x-1", "cordon a-x-2", "drain a-x-1", "drain a-x-2"]


def test_a_node_that_somebody_else_joined_stays() -> None:
    world = standing(1, {})
    observed = world.observe()
    foreign = replace(observed, nodes={**(observed.nodes or {}), "guest": (observed.nodes or {})["a-cp-0"]})
    assert decide(wanted_of(1, {}, "1.34.4"), foreign).is_done


def test_steps_say_what_and_why() -> None:
    world = standing(1, {})
    steps: tuple[Step, ...] = decide(wanted_of(3, {}, "1.34.4"), world.observe()).steps
    assert next(map(str, steps)) == ("create a-cp-1 from 1.34.4 (image-1.34.4): it is wanted and isn't there")


def leave_in_turn(world: World, wanted: Wanted, name: str) -> list[str]:
    """Have a node leave as whoever removes its machine does."""
    steps: list[str] = []
    while True:
        step = leave(wanted, world.observe(), name, "it goes").steps[0]
        if isinstance(step, DestroyMachine) and step.target == name:
            return steps
        steps.append(str(step).partition(":")[0])
        world.take([step])


def test_a_control_plane_leaves_by_itself_though_others_are_still_to_go() -> None:
    world, wanted = standing(3, {}), wanted_of(1, {}, "1.34.4")
    assert leave_in_turn(world, wanted, "a-cp-1") == [
        "drain a-cp-1",
        "remove a-cp-1 from etcd",
        "delete the Node a-cp-1",
    ]


class Engine:
    """Replaces each machine of another build, all at the same time, in whatever order its threads run.

    As Pulumi's engine does it: a machine leaves and is removed, then it is made again; at the end the rolling
    change is settled. Nothing is remembered, so each step may be the first one after a kill.
    """

    def __init__(self, world: World, wanted: Wanted) -> None:
        self.world = world
        self.wanted = wanted

    def actions(self) -> list[Callable[[], bool]]:
        """Return what can go on; each says whether it did something."""
        outdated = [n for n in self.wanted.nodes if (m := self.world.machines.get(n.name)) and m.build != n.build]
        missing = [node for node in self.wanted.nodes if node.name not in self.world.machines]
        every: list[Callable[[], bool]] = [partial(self.remove, node) for node in outdated]
        every += [partial(self.make, node) for node in missing]
        every += [
            partial(self.join, name, machine.role)
            for name, machine in self.world.machines.items()
            if not machine.booted
        ]
        return every or [self.settle]

    def remove(self, node: WantedNode) -> bool:
        return self.take(leave(self.wanted, self.world.observe(), node.name, "it is replaced"))

    def make(self, node: WantedNode) -> bool:
        before = begin_worker(self.wanted, self.world.observe()) if node.role == "worker" else Decision()
        if not before.is_done:
            return self.take(before)
        reason = "the engine makes it again"
        self.world.images.add(node.build.image)
        self.world.take([CreateMachine(target=node.name, reason=reason, node=node)])
        return True

    def join(self, name: str, role: str) -> bool:
        """Do what kubeadm does on the machine."""
        learners = [vote.machine for vote in self.world.votes.values() if vote.learner]
        step: Step = Join(target=name, reason="it boots")
        if role == "controlPlane":
            step = (Promote if name in learners else JoinAsLearner)(target=name, reason="it boots")
        if learners and name not in learners:
            return False
        self.world.take([step])
        return True

    def settle(self) -> bool:
        return self.take(settle(self.wanted, self.world.observe()))

    def take(self, decision: Decision) -> bool:
        assert not decision.refusals, decision.refusals
        steps = [step for step in decision.steps if not isinstance(step, WaitForHealth)]
        if [step for step in steps if isinstance(step, JoinAsLearner)]:
            return False  # it joins by itself, above
        self.world.take(steps)
        return bool(steps)


@settings(max_examples=150, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(planes=st.sampled_from([1, 3]), workers=st.integers(0, 3), is_upgrade=st.booleans(), data=st.data())
def test_an_engine_that_replaces_all_machines_at_once_rolls_a_cluster_step_by_step(
    planes: int, workers: int, is_upgrade: bool, data: st.DataObject
) -> None:
    world = standing(planes, {"x": workers}, "1.33.5" if is_upgrade else "1.34.4")
    wanted = wanted_of(planes, {"x": workers}, "1.34.4", patch="" if is_upgrade else "-patched")
    before = len(world.log)
    engine = Engine(world, wanted)
    for _ in range(_MOST):
        actions = data.draw(st.permutations(engine.actions()))
        if not any(action() for action in actions[:1]) and not any(action() for action in actions[1:]):
            break
    assert is_as_wanted(world, wanted), [*map(str, world.log)]
    drained = [step.target for step in world.log[before:] if isinstance(step, Drain)]
    first_worker = next((i for i, name in enumerate(drained) if "-x-" in name), len(drained))
    late = {name for name in drained[first_worker:] if "-cp-" in name}
    assert not late, "control planes come first"
    if is_upgrade and workers:
        finished = next(i for i, step in enumerate(world.log) if isinstance(step, FinishUpgrade))
        workers_from = next(i for i, s in enumerate(world.log) if isinstance(s, Drain) and "-x-" in s.target)
        assert finished < workers_from, "so do kube-proxy and CoreDNS"


def test_a_single_control_plane_that_is_upgraded_is_stood_in_for_by_the_spare() -> None:
    world, wanted = standing(1, {}, "1.33.5"), wanted_of(1, {}, "1.34.4")
    engine = Engine(world, wanted)
    world.log.clear()
    while any(action() for action in engine.actions()):
        pass
    assert [str(step).partition(":")[0] for step in world.log if step.target != "a"] == [
        "create a-spare from 1.34.4 (image-1.34.4)",
        *("a-spare joins etcd as a learner", "a-spare gets its vote in etcd"),
        *("drain a-cp-0", "etcd's leadership goes from a-cp-0 to a-spare", "remove a-cp-0 from etcd"),
        *("delete the Node a-cp-0", "remove the machine a-cp-0"),
        *("create a-cp-0 from 1.34.4 (image-1.34.4)", "a-cp-0 joins etcd as a learner"),
        "a-cp-0 gets its vote in etcd",
        *("drain a-spare", "etcd's leadership goes from a-spare to a-cp-0", "remove a-spare from etcd"),
        *("delete the Node a-spare", "remove the machine a-spare"),
    ]


def test_an_upgrade_that_was_only_prepared_is_taken_back_when_it_is_settled() -> None:
    world, wanted = standing(1, {}, "1.33.5"), wanted_of(1, {}, "1.33.5")
    world.configured = "1.34.4"
    (step,) = settle(wanted, world.observe()).steps
    world.take([step])
    assert world.configured == "1.33.5"
    assert settle(wanted, world.observe()).is_done


def test_services_are_announced_from_a_worker_that_came_back_before_the_next_one_leaves() -> None:
    world, wanted = standing(1, {"x": 2}), wanted_of(1, {"x": 2}, "1.34.4")
    world.nodes["a-x-0"].joining = True
    assert leave_in_turn(world, wanted, "a-x-1")[0] == "let pods and services come to a-x-0"


def test_a_worker_is_stood_in_for_by_the_spare_which_leaves_when_all_are_back() -> None:
    world, wanted = standing(1, {"x": 2}), wanted_of(1, {"x": 2}, "1.34.4")
    assert leave_in_turn(world, wanted, "a-x-0") == [
        *("create a-spare from 1.34.4 (image-1.34.4)", "a-spare joins", "let pods and services come to a-spare"),
        *("drain a-x-0", "delete the Node a-x-0"),
    ]
    del world.machines["a-x-0"]
    (step,) = settle(wanted, world.observe()).steps
    assert isinstance(step, WaitForHealth), "its pods are on the spare"
    world.take([CreateMachine(target="a-x-0", reason="it is back", node=wanted.workers[0])])
    world.take([Join(target="a-x-0", reason="it is back")])
    steps = []
    while not (decision := settle(wanted, world.observe())).is_done:
        steps += [str(step).partition(":")[0] for step in decision.steps]
        world.take(decision.steps)
    assert steps == [
        *("let pods and services come to a-x-0", "drain a-spare", "delete the Node a-spare"),
        "remove the machine a-spare",
    ]


def test_the_spare_stands_in_for_workers_of_one_pool_and_then_for_those_of_another() -> None:
    world, wanted = standing(1, {"x": 1, "y": 1}), wanted_of(1, {"x": 1, "y": 1}, "1.34.4")
    spare = WantedNode(SPARE, "worker", wanted.workers[0].build, "x")
    world.take(
        [CreateMachine(target=SPARE, reason="it surges", node=spare), Join(target=SPARE, reason="it surges")]
    )
    assert leave_in_turn(world, wanted, "a-y-0") == [
        *("let pods and services come to a-spare", "drain a-spare", "delete the Node a-spare"),
        *("remove the machine a-spare", "create a-spare from 1.34.4 (image-1.34.4)", "a-spare joins"),
        *("let pods and services come to a-spare", "drain a-y-0", "delete the Node a-y-0"),
    ]
    world = standing(1, {"x": 1, "y": 1})
    world.take(
        [CreateMachine(target=SPARE, reason="it surges", node=spare), Join(target=SPARE, reason="it surges")]
    )
    world.nodes[SPARE].joining = False
    world.machines["a-x-0"] = replace(world.machines["a-x-0"], marked=True)
    (step,) = leave(wanted, world.observe(), "a-y-0", "it goes").steps
    assert isinstance(step, WaitForHealth)
    assert step.lacks == ("a-x-0 is to be replaced first",)


def test_a_control_plane_gets_the_spare_from_a_worker_that_an_earlier_run_left_there() -> None:
    world, wanted = standing(1, {"x": 1}), wanted_of(1, {"x": 1}, "1.34.4")
    spare = WantedNode(SPARE, "worker", wanted.workers[0].build, "x")
    world.take(
        [CreateMachine(target=SPARE, reason="it surges", node=spare), Join(target=SPARE, reason="it surges")]
    )
    steps = [str(step).partition(":")[0] for step in leave(wanted, world.observe(), "a-cp-0", "it goes").steps]
    assert steps == ["drain a-spare"]


def test_workers_wait_for_a_control_plane_that_is_to_be_replaced_for_whatever_reason() -> None:
    world, wanted = standing(1, {"x": 1}), wanted_of(1, {"x": 1}, "1.34.4")
    world.machines["a-cp-0"] = replace(world.machines["a-cp-0"], marked=True)
    (step,) = leave(wanted, world.observe(), "a-x-0", "it goes").steps
    assert isinstance(step, WaitForHealth)
    assert step.reason == "control planes come first"


def test_no_worker_leaves_while_another_one_does_not_forward_packets_yet() -> None:
    world, wanted = standing(1, {"x": 2}), wanted_of(1, {"x": 2}, "1.34.4")
    seen = world.observe()
    joining = replace((seen.nodes or {})["a-x-0"], joining=True, may_come_in=False)
    seen = replace(seen, nodes={**(seen.nodes or {}), "a-x-0": joining})
    (step,) = leave(wanted, seen, "a-x-1", "it goes").steps
    assert isinstance(step, WaitForHealth)
    assert step.lacks == ("a-x-0 has joined, and doesn't take pods and services yet",)


def test_a_new_worker_waits_for_control_planes_of_its_version() -> None:
    world, wanted = standing(1, {}, "1.33.5"), wanted_of(1, {"x": 1}, "1.34.4")
    (step,) = begin_worker(wanted, world.observe()).steps
    assert isinstance(step, WaitForHealth)
    assert step.lacks == ("a-cp-0 is still to come back from 1.34.4 (image-1.34.4)",)
    assert begin_worker(wanted_of(1, {"x": 1}, "1.33.5"), world.observe()).is_done


def test_what_a_lost_machine_left_is_removed_without_a_drain() -> None:
    world, wanted = standing(3, {"x": 1}), wanted_of(3, {"x": 1}, "1.34.4")
    world.lose("a-cp-1")
    world.lose("a-x-0")
    assert leave_in_turn(world, wanted, "a-cp-1") == ["remove what a-cp-1 left in etcd", "delete the Node a-cp-1"]
    assert leave_in_turn(world, wanted, "a-x-0") == ["delete the Node a-x-0"]


def test_no_second_control_plane_leaves_before_the_first_is_back() -> None:
    world, wanted = standing(3, {}), wanted_of(3, {}, "1.34.4")
    leave_in_turn(world, wanted, "a-cp-1")
    del world.machines["a-cp-1"]
    (step,) = leave(wanted, world.observe(), "a-cp-2", "it goes").steps
    assert isinstance(step, WaitForHealth)
    assert "a-cp-1 has no machine" in step.lacks


def test_the_last_member_that_etcd_needs_does_not_leave() -> None:
    world = standing(1, {})
    alone = wanted_of(1, {}, "1.34.4", spare=False)
    assert isinstance(leave(alone, world.observe(), "a-cp-0", "it goes").steps[0], WaitForHealth)
    world.lose("a-cp-0")
    (refusal,) = leave(wanted_of(1, {}, "1.34.4"), world.observe(), "a-cp-0", "it goes").refusals
    assert refusal.rule == "quorum-lost"
