"""The whole way from a cluster as it is seen to the wanted one, as preview shows it: each step done well. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Final, TypeVar

from infra.lifecycle import steps as s
from infra.lifecycle.observed import Machine, Member, Node, Observed
from infra.lifecycle.planner import Decision, decide
from infra.lifecycle.wanted import Wanted

_T = TypeVar("_T")
_MOST_STEPS: Final = 2000
"""Of a route: sixteen hosts' worth of nodes take a tenth of it."""


def route(wanted: Wanted, observed: Observed) -> Iterator[Decision]:
    """Yield what is done one after the other; the last decision is done, refused, or waits for what may come."""
    for _ in range(_MOST_STEPS):
        decision = decide(wanted, observed)
        yield decision
        if not decision.steps or any(isinstance(step, s.WaitForHealth) for step in decision.steps):
            return
        for step in decision.steps:
            observed = expected(step, observed)
    raise AssertionError("the life of a cluster doesn't come to an end")


@singledispatch
def expected(step: s.Step, observed: Observed) -> Observed:
    """Return what is seen after a step that succeeded."""
    return observed


@expected.register
def _(step: s.CreateMachine, observed: Observed) -> Observed:
    machine = Machine(step.node.role, step.node.build, pool=step.node.pool)
    return replace(observed, machines={**observed.machines, step.target: machine})


@expected.register
def _(step: s.StartMachine, observed: Observed) -> Observed:
    return _machine(observed, step.target, runs=True)


@expected.register
def _(step: s.DestroyMachine, observed: Observed) -> Observed:
    return replace(observed, machines=_without(observed.machines, step.target))


@expected.register
def _(step: s.RenewCertificates, observed: Observed) -> Observed:
    return _machine(observed, step.target, certificates="valid")


@expected.register
def _(step: s.DistributeImage, observed: Observed) -> Observed:
    return replace(observed, images=observed.images | {step.image})


@expected.register
def _(step: s.FoundCluster, observed: Observed) -> Observed:
    machine = observed.machines[step.target]
    founded = _machine(observed, step.target, booted=True)
    return replace(
        founded,
        founded=True,
        nodes={step.target: Node(ready=True)},
        members=(Member(1, step.target, leader=True),),
        agreed=True,
        configured=machine.build.version,
        add_ons=machine.build.version,
    )


@expected.register
def _(step: s.Join, observed: Observed) -> Observed:
    return _node(
        _machine(observed, step.target, booted=True),
        step.target,
        Node(ready=True, joining=True, may_come_in=True),
    )


@expected.register
def _(step: s.Cordon, observed: Observed) -> Observed:
    return _node(observed, step.target, replace((observed.nodes or {})[step.target], cordoned=True))


@expected.register
def _(step: s.LetIn, observed: Observed) -> Observed:
    return _node(
        observed, step.target, replace((observed.nodes or {})[step.target], joining=False, may_come_in=False)
    )


@expected.register
def _(step: s.Uncordon, observed: Observed) -> Observed:
    return _node(observed, step.target, replace((observed.nodes or {})[step.target], cordoned=False))


@expected.register
def _(step: s.Drain, observed: Observed) -> Observed:
    node = replace((observed.nodes or {})[step.target], cordoned=True, drained=True)
    return _node(observed, step.target, node)


@expected.register
def _(step: s.DeleteNode, observed: Observed) -> Observed:
    return replace(observed, nodes=_without(observed.nodes or {}, step.target))


@expected.register
def _(step: s.JoinAsLearner, observed: Observed) -> Observed:
    members = observed.members or ()
    id = max((member.id for member in members), default=0) + 1
    return replace(observed, members=(*members, Member(id, step.target, learner=True)))


@expected.register
def _(step: s.Promote, observed: Observed) -> Observed:
    members = tuple(
        replace(member, learner=False) if member.machine == step.target else member
        for member in observed.members or ()
    )
    joined = _node(_machine(observed, step.target, booted=True), step.target, Node(ready=True))
    return replace(joined, members=members)


@expected.register
def _(step: s.MoveLeader, observed: Observed) -> Observed:
    members = tuple(replace(member, leader=member.id == step.to_id) for member in observed.members or ())
    return replace(observed, members=members)


@expected.register
def _(step: s.RemoveMember, observed: Observed) -> Observed:
    members = tuple(member for member in observed.members or () if member.id != step.member)
    return replace(observed, members=members)


@expected.register
def _(step: s.PrepareUpgrade, observed: Observed) -> Observed:
    return replace(observed, configured=step.version)


@expected.register
def _(step: s.FinishUpgrade, observed: Observed) -> Observed:
    return replace(observed, add_ons=step.version)


def _machine(observed: Observed, name: str, **changes: object) -> Observed:
    machine = replace(observed.machines[name], **changes)  # type: ignore[arg-type]  # fields of Machine
    return replace(observed, machines={**observed.machines, name: machine})


def _node(observed: Observed, name: str, node: Node) -> Observed:
    return replace(observed, nodes={**(observed.nodes or {}), name: node})


def _without(values: Mapping[str, _T], name: str) -> dict[str, _T]:
    return {key: value for key, value in values.items() if key != name}
