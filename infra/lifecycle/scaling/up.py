"""Which pool grows, and by how many nodes, so that pods find one that found none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from infra.lifecycle.scaling.fit import Place, pack, places_of
from infra.lifecycle.scaling.objects import HOST, Node, Pod
from infra.lifecycle.scaling.view import Decision, Pool, Profile, View

SETTLES: Final = timedelta(seconds=30)
"""How long a node that is Ready counts as coming: the scheduler, and its DaemonSets, come first."""
PROVISION: Final = timedelta(minutes=15)
"""How long one that isn't Ready yet does (cluster-autoscaler's max-node-provision-time)."""
_PASSING: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""How the taints begin that Kubernetes itself gives and takes."""


@dataclass(frozen=True)
class _Option:
    pool: Pool
    added: int
    pods: tuple[Pod, ...]
    waste: float


def scale_up(view: View, profile: Profile) -> tuple[Decision | None, tuple[str, ...]]:
    """Return which pool grows, if any, and what is to be said of pods that no pool helps."""
    waiting = [
        pod
        for pod in view.pods
        if pod.unschedulable
        and not pod.node
        and not pod.stays_with_node
        and view.now - pod.created >= profile.new_pod_delay
    ]
    if not waiting:
        return None, ()
    places = places_of(view.nodes, view.pods)
    coming = [place for place in places.values() if _is_coming(place.node, view)]
    waiting = pack(waiting, coming, [])
    if not waiting:
        return None, (f"pods wait for {_names(place.node.name for place in coming)}, which just came",)
    options, notes = [], []
    for pool in view.pools:
        missing = [name for name in pool.machines[: pool.size] if name not in places or places[name].node.leaving]
        option, why = _option(pool, len(missing), waiting, list(places.values()), view)
        if option is not None and missing:
            reason = f"{_names(missing)} takes no pods, and {_names(map(str, option.pods))} could run there"
            return Decision(pool.name, pool.size, pool.size, reason), ()
        if option is not None:
            options.append(option)
        elif why:
            notes.append(f"pool {pool.name} doesn't grow: {why}")
    if not options:
        return None, tuple(notes)
    best = min(options, key=lambda option: (*_rank(option, profile), option.pool.name))
    size = best.pool.size + best.added
    return Decision(best.pool.name, best.pool.size, size, f"no node takes {_names(map(str, best.pods))}"), ()


def template_of(pool: Pool, view: View) -> Node:
    """Return what a new node of a pool is like: as those that stand, or as its machines' size promises."""
    standing = [node for node in view.nodes if node.name in pool.machines]
    like = next((node for node in standing if node.takes_pods), pool.template)
    taints = tuple(taint for taint in like.taints if not taint.key.startswith(_PASSING))
    return replace(like, taints=taints, ready=True, cordoned=False, leaving=False)


def _is_coming(node: Node, view: View) -> bool:
    if not any(node.name in pool.machines for pool in view.pools) or node.cordoned:
        return False
    return view.now - node.ready_since < SETTLES if node.ready else view.now - node.created < PROVISION


def _option(
    pool: Pool, missing: int, waiting: Sequence[Pod], standing: Sequence[Place], view: View
) -> tuple[_Option | None, str]:
    """Return how a pool could help, or why it can't.

    A pod that fits a node of the pool by what is known here, and isn't there, has a reason that isn't known here:
    another node of the pool would be no help.
    """
    own = [place for place in standing if place.node.name in pool.machines and place.node.takes_pods]
    helped = [pod for pod in waiting if all(place.lacks(pod, standing) for place in own)]
    if not helped:
        return None, f"{_names(map(str, waiting))} would fit its nodes and isn't there for another reason"
    template = template_of(pool, view)
    if not missing and pool.size >= pool.most:
        places = _new(template, 1, view)
        return None, f"it has maxCount {pool.most}" if len(pack(helped, places, standing)) < len(helped) else ""
    bins: list[Place] = []
    taken: list[Pod] = []
    left = helped
    for number in range(missing or pool.most - pool.size):
        bins += _new(
            replace(template, name=f"new-{number}", labels={**template.labels, HOST: f"new-{number}"}), 1, view
        )
        before, left = left, pack(left, bins[-1:], [*standing, *bins])
        if len(left) == len(before):
            bins.pop()
            break
        taken += [pod for pod in before if pod not in left]
        if not left:
            break
    if not taken:
        return None, _why_not(helped[0], _new(template, 1, view)[0])
    return _Option(pool, len(bins), tuple(taken), _waste(bins)), ""


def _new(template: Node, count: int, view: View) -> list[Place]:
    """Return nodes with what each runs by itself."""
    places = [Place(template) for _ in range(count)]
    for place in places:
        for daemon in view.daemons:
            if daemon.is_selected(template.labels) and all(map(daemon.tolerates, template.taints)):
                place.put(daemon)
    return places


def _why_not(pod: Pod, empty: Place) -> str:
    return f"{pod} wouldn't fit a new node of it either ({empty.lacks(pod, [empty]) or 'its spread over nodes'})"


def _waste(bins: Sequence[Place]) -> float:
    """Return which part of processors and memory stays unused, of two."""
    waste = 0.0
    for resource in ("cpu", "memory"):
        there = sum(place.node.allocatable.get(resource, 0) for place in bins)
        waste += 1 - sum(place.used(resource) for place in bins) / there if there else 0
    return waste


def _rank(option: _Option, profile: Profile) -> tuple[float, float]:
    pods = -len(option.pods)
    return (pods, option.waste) if profile.expander == "most-pods" else (option.waste, pods)


def _names(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
