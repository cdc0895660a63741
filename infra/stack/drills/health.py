"""Looking at a cluster all the time, and when it was what again. What follows from the looks is pure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.certificates import at_server
from infra.kubernetes.health import Snapshot, lacks
from infra.kubernetes.watch import look, silent_servers

_ANSWER_SECONDS: Final = 5.0  # a machine that is gone leaves connections on which nobody answers
_SERVER_SECONDS: Final = 2.0
_PAUSE: Final = 0.5


@dataclass(frozen=True)
class Look:
    """What a look at a cluster told.

    Attributes:
        at: When it ended, in seconds of the monotonic clock.
        ready: Whether all nodes are Ready.
        lacks: What is missing, a clause each; none where everything is healthy.
    """

    at: float
    ready: bool
    lacks: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Return whether nothing is missing."""
        return not self.lacks


class Health:
    """Looks at one cluster."""

    def __init__(
        self, kubeconfig: str, *, planes: Mapping[str, str], nodes: Collection[str], namespaces: Collection[str]
    ) -> None:
        """Remember where it is; nothing is asked yet.

        Args:
            kubeconfig: An administrator's.
            planes: By control plane, its own address.
            nodes: The nodes that have to be there.
            namespaces: Whose workloads have to be available.
        """
        self._nodes, self._namespaces = nodes, namespaces
        self._api = ClusterApi(kubeconfig, _ANSWER_SECONDS)
        self._servers = {
            name: ClusterApi(at_server(kubeconfig, address), _SERVER_SECONDS) for name, address in planes.items()
        }

    def look_for(self, seconds: float) -> Look:
        """Look until everything is healthy, for so many seconds at most; return the last look."""
        deadline = time.monotonic() + seconds
        while not (seen := self.look({})).healthy and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        return seen

    def look(self, silent_since: Mapping[str, float]) -> Look:
        """Look at nodes, workloads and API servers.

        Args:
            silent_since: Nodes that have to report again, with since when, in seconds since 1970.
        """
        expected = {name: silent_since.get(name, 0.0) for name in self._nodes}
        try:
            seen = look(self._api, self._namespaces)
        except ClusterError as error:
            return Look(time.monotonic(), ready=False, lacks=(str(error),))
        silent = [f"the API server on {name} isn't ready" for name in silent_servers(self._servers)]
        of_nodes = lacks(Snapshot(nodes=seen.nodes, leases=seen.leases), expected)
        return Look(time.monotonic(), not of_nodes, (*silent, *lacks(seen, expected)))


class Watcher:
    """Looks at a cluster twice a second, in a thread of its own.

    Attributes:
        looks: What it saw, in order.
    """

    def __init__(self, take_look: Callable[[], Look]) -> None:
        self._take_look = take_look
        self._stop = threading.Event()
        self.looks: list[Look] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look while the block runs."""
        thread = threading.Thread(target=self._keep_looking, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def wait_until_healthy(self, seconds: float) -> bool:
        """Wait until a look that begins from now on finds nothing missing; return whether one did in time."""
        since = len(self.looks) + 1  # the one that is under way began before
        deadline = time.monotonic() + seconds
        while not any(seen.healthy for seen in self.looks[since:]):
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def _keep_looking(self) -> None:
        while not self._stop.is_set():
            self.looks.append(self._take_look())
            self._stop.wait(_PAUSE)


def back_at(looks: Sequence[Look], holds: Callable[[Look], bool]) -> float | None:
    """Return when something held again for good: the first of the looks at the end that all tell so. Pure.

    Returns:
        Seconds of the monotonic clock; None where the last look tells otherwise, or where there is none.
    """
    back: float | None = None
    for seen in reversed(looks):
        if not holds(seen):
            break
        back = seen.at
    return back
