"""Whether a pod can be on a node: kube-scheduler's filters, as far as they go by what is known here. Pure.

Known are resources, selectors and required affinity to nodes, taints, required anti-affinity between pods and
spread over nodes. Anything else (`Pod.unknown`) is left to the scheduler.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from infra.lifecycle.scaling.objects import Node, Pod, holds


@dataclass
class Place:
    """A node, be it one that would be made, and the pods on it.

    Attributes:
        node: The node.
        pods: Those that are on it, or were put there.
    """

    node: Node
    pods: list[Pod] = field(default_factory=list)
    _taken: Counter[str] = field(default_factory=Counter)

    def put(self, pod: Pod) -> None:
        """Give a pod its room here."""
        self.pods.append(pod)
        self._taken.update(pod.requests)

    def used(self, resource: str) -> int:
        """Return how much its pods ask for."""
        return self._taken[resource]

    def lacks(self, pod: Pod, places: Sequence[Place]) -> str:
        """Return why a pod can't be here, in a few words; nothing where it can.

        Args:
            pod: The pod.
            places: All places that it could be at, this one included: it spreads over them.
        """
        for resource, amount in pod.requests.items():
            if amount and self.node.allocatable.get(resource, 0) - self._taken[resource] < amount:
                return f"not enough {resource}"
        if not pod.is_selected(self.node.labels):
            return "other labels"
        kept_off = [taint for taint in self.node.taints if not pod.tolerates(taint)]
        if kept_off:
            return f"the taint {kept_off[0]}"
        if any(_keep_apart(pod, other) or _keep_apart(other, pod) for other in self.pods):
            return "a pod that it has to be apart from"
        return self._is_uneven(pod, places)

    def _is_uneven(self, pod: Pod, places: Sequence[Place]) -> str:
        for spread in pod.spread:
            counts = [
                sum(
                    other.namespace == pod.namespace and holds(spread.selector, other.labels)
                    for other in place.pods
                )
                for place in places
                if pod.is_selected(place.node.labels)
            ]
            own = sum(
                other.namespace == pod.namespace and holds(spread.selector, other.labels) for other in self.pods
            )
            if own + 1 - min(counts, default=0) > spread.max_skew:
                return "its spread over nodes"
        return ""


def _keep_apart(pod: Pod, other: Pod) -> bool:
    return pod.namespace == other.namespace and any(holds(selector, other.labels) for selector in pod.apart)


def places_of(nodes: Iterable[Node], pods: Iterable[Pod]) -> dict[str, Place]:
    """Return each node with the pods on it, by its name."""
    places = {node.name: Place(node) for node in nodes}
    for pod in pods:
        if pod.node in places:
            places[pod.node].put(pod)
    return places


def pack(pods: Iterable[Pod], places: Sequence[Place], among: Sequence[Place]) -> list[Pod]:
    """Put pods where they fit first, the largest first; return those that fit nowhere.

    Args:
        pods: The pods.
        places: Where they may go.
        among: All places that a pod could be at besides; it spreads over them.
    """
    everywhere = [*among, *(place for place in places if place not in among)]
    left = []
    for pod in sorted(
        pods, key=lambda pod: (-pod.requests.get("memory", 0), -pod.requests.get("cpu", 0), str(pod))
    ):
        place = next((place for place in places if not place.lacks(pod, everywhere)), None)
        if place is None:
            left.append(pod)
        else:
            place.put(pod)
    return left
