"""Which pool shrinks: whose last nodes hardly any pod needs. Pure.

azlocal numbers the machines of a pool, and a smaller count removes the highest number: so only that node can go,
be another one ever so empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from infra.lifecycle.scaling.fit import Place, places_of
from infra.lifecycle.scaling.objects import Pod
from infra.lifecycle.scaling.view import Decision, Pool, Profile, View


@dataclass(frozen=True)
class Shrinking:
    """What is to be done about pools that have more nodes than they need.

    Attributes:
        decision: The pool that shrinks now; None where none does.
        unneeded: Since when each node of a pool that scales is unneeded, as is to be noted on it; None: it is
            needed.
        notes: Why pools don't shrink.
    """

    decision: Decision | None
    unneeded: Mapping[str, datetime | None]
    notes: tuple[str, ...]


def scale_down(view: View, profile: Profile) -> Shrinking:
    """Return which pool shrinks, if any."""
    marks: dict[str, datetime | None] = {}
    notes: list[str] = []
    ripe: list[Decision] = []
    for pool in view.pools:
        spare, why = _spare(pool, view, profile)
        since = {place.node.name: place.node.unneeded_since or view.now for place in spare}
        marks |= {name: since.get(name) for name in pool.machines}
        gone = _ripe(pool, since, view, profile)
        if gone:
            reason = f"no pod has needed {', '.join(sorted(gone))} for {_time(profile.unneeded_time)}"
            ripe.append(Decision(pool.name, pool.size, pool.size - len(gone), reason))
        elif spare:
            notes.append(_waits(pool, since, view, profile))
        elif why:
            notes.append(f"pool {pool.name} doesn't shrink: {why}")
    known = {node.name for node in view.nodes}
    return Shrinking(
        ripe[0] if ripe else None, {name: since for name, since in marks.items() if name in known}, tuple(notes)
    )


def _newest(pool: Pool, view: View) -> datetime | None:
    """Return when the newest node of the pools came."""
    return max((node.created for node in view.nodes if node.name in pool.machines), default=None)


def _ripe(pool: Pool, since: Mapping[str, datetime], view: View, profile: Profile) -> list[str]:
    """Return which of the unneeded nodes go now: from the last one down, as long as each has been so for long."""
    newest = max((came for scaling in view.pools if (came := _newest(scaling, view))), default=None)
    if newest is None or view.now - newest < profile.delay_after_add:
        return []
    gone: list[str] = []
    for name in reversed(pool.machines[: pool.size]):
        if name not in since or view.now - since[name] < profile.unneeded_time:
            break
        gone.append(name)
    return gone


def _waits(pool: Pool, since: Mapping[str, datetime], view: View, profile: Profile) -> str:
    last = pool.machines[pool.size - 1]
    newest = max(came for scaling in view.pools if (came := _newest(scaling, view)))
    left = max(profile.unneeded_time - (view.now - since[last]), profile.delay_after_add - (view.now - newest))
    return f"pool {pool.name} shrinks in {_time(left)}, unless {last} is needed until then"


def _spare(pool: Pool, view: View, profile: Profile) -> tuple[list[Place], str]:
    """Return the places that could go, the last one first, and why the next one can't."""
    places = places_of(view.nodes, view.pods)
    allowed = Counter(view.allowed)
    spare: list[Place] = []
    for name in reversed(pool.machines[pool.least : pool.size]):
        place = places.get(name)
        if place is None or not place.node.ready:
            return spare, "" if spare else f"{name} isn't Ready"
        others = [other for other in places.values() if other is not place and other.node.takes_pods]
        why = _stays(place, profile) or _can_not_move(place, others, allowed)
        if why:
            return spare, f"{name} stays: {why}"
        spare.append(place)
        del places[name]
    return spare, ""


def _stays(place: Place, profile: Profile) -> str:
    """Return what keeps a node, whatever room there is elsewhere."""
    use = utilization(place, profile)
    if use >= profile.utilization_threshold:
        return f"its pods ask for {use:.0%} of it, and {profile.utilization_threshold:.0%} keeps it"
    if place.node.volumes and not profile.loses_volumes:
        return f"volumes on its disk would be lost: {', '.join(place.node.volumes)}"
    for pod in place.pods:
        if why := next(_blocks(pod, profile), ""):
            return f"{pod} {why}"
    return ""


def utilization(place: Place, profile: Profile) -> float:
    """Return which part of a node its pods ask for, of processors or of memory, whichever is more."""
    parts = [0.0]
    for resource in ("cpu", "memory"):
        skipped = sum(
            pod.requests.get(resource, 0)
            for pod in place.pods
            if profile.ignores_daemonsets and pod.owner == "DaemonSet"
        )
        if there := place.node.allocatable.get(resource, 0):
            parts.append((place.used(resource) - skipped) / there)
    return max(parts)


def _blocks(pod: Pod, profile: Profile) -> Iterator[str]:
    """Yield why a pod keeps its node."""
    if pod.stays_with_node or pod.safe_to_evict:
        return
    if pod.safe_to_evict is False:
        yield "says cluster-autoscaler.kubernetes.io/safe-to-evict: false"
    if not pod.owner:
        yield "has no controller that would make it again"
    if pod.local_storage and profile.skips_local_storage:
        yield f"has a volume on the node, {pod.local_storage}"
    if pod.namespace == "kube-system" and not pod.budgets and profile.skips_system_pods:
        yield "is of kube-system, and no disruption budget is about it"


def _can_not_move(place: Place, others: list[Place], allowed: Counter[str]) -> str:
    """Put a node's pods elsewhere; return why one of them can't be, nothing where all are."""
    for pod in place.pods:
        if pod.stays_with_node:
            continue
        if pod.unknown:
            return f"{pod} {pod.unknown}"
        spent = [budget for budget in pod.budgets if allowed[budget] < 1]
        if spent:
            return f"the disruption budget {spent[0]} doesn't let {pod} go"
        target = next((other for other in others if not other.lacks(pod, others)), None)
        if target is None:
            return f"no other node takes {pod}"
        allowed.subtract(pod.budgets)
        target.put(pod)
    return ""


def _time(time: timedelta) -> str:
    seconds = time.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
