"""What came of a drill, from what clients and looks at the cluster saw. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.counting import counted
from infra.kubernetes.load import Load
from infra.stack.drills.decision import Break
from infra.stack.drills.healing import Healing
from infra.stack.drills.health import Look, back_at


@dataclass(frozen=True)
class Course:
    """A drill's course, in seconds of the monotonic clock.

    Attributes:
        broke: When it was broken.
        healing: By what it was healed.
        load: What clients saw, from a moment before.
        looks: At the cluster, since it was broken.
        lost: Acknowledged writes that aren't there; None where the API can't be asked.
        untold: Those that a watch didn't tell of.
    """

    broke: float
    healing: Healing
    load: Load
    looks: Sequence[Look]
    lost: frozenset[str] | None
    untold: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """A drill's result; all times are in seconds, and None where it didn't come to that.

    Attributes:
        chosen: What was broken.
        reachable: From the break until the API answered reads at the cluster's address again; 0 where
            it was never away before `up` began.
        read_gap: The longest time without an answered read, in all of the drill.
        write_gap: The longest time without an acknowledged write.
        nodes_ready: From the break until all nodes were Ready, and stayed so, as their kubelets say since then.
        healthy: From the break until API servers, nodes and workloads lacked nothing, and nothing came after.
        up: What `azlocal up` took; where a restore was before it, the second one.
        exit_code: How what healed it ended.
        requests: That clients sent.
        failed: Of these.
        acknowledged: Writes that the API said it has.
        lost: Of these, what isn't there; None where the API can't be asked.
        untold: Of these, what a watch didn't tell of.
        silence: The longest time in which a watch told nothing.
        lacks: What the cluster still lacks.
        refused: What the first `azlocal up` took, which said that quorum is lost.
        restore: What `azlocal restore` took.
        undone: Acknowledged writes of before the restore, which aren't in the snapshot.
        fault: What is wrong with how what healed it ended; empty where nothing is.
    """

    chosen: Break
    reachable: float | None
    read_gap: float | None
    write_gap: float | None
    nodes_ready: float | None
    healthy: float | None
    up: float
    exit_code: int
    requests: int
    failed: int
    acknowledged: int
    lost: int | None
    untold: int
    silence: float
    lacks: tuple[str, ...]
    refused: float | None = None
    restore: float | None = None
    undone: int = 0
    fault: str = ""

    @classmethod
    def of(cls, chosen: Break, course: Course) -> Outcome:
        """Return what follows from a drill's course."""
        load, healing, restored = course.load, course.healing, course.healing.restored
        last = course.looks[-1].lacks if course.looks else ()
        return cls(
            chosen=chosen,
            reachable=_reachable(chosen, course),
            read_gap=_finite(load.gap_of(writes=False)),
            write_gap=_finite(load.gap_of(writes=True)),
            nodes_ready=_since(course, lambda seen: seen.ready),
            healthy=_since(course, lambda seen: seen.healthy),
            up=healing.ended - (restored.ended if restored else healing.began),
            exit_code=healing.exit_code,
            requests=len(load.requests),
            failed=len(load.failed),
            acknowledged=len(load.acknowledged),
            lost=None if course.lost is None else len(course.lost),
            untold=len(course.untold),
            silence=max((watch.silence for watch in load.watches), default=0.0),
            lacks=last,
            refused=restored.refused - healing.began if restored else None,
            restore=restored.ended - restored.refused if restored else None,
            undone=len(load.undone),
            fault=healing.fault,
        )

    @property
    def ok(self) -> bool:
        """Return whether everything came back, and no acknowledged write was lost."""
        came_back = None not in (self.reachable, self.nodes_ready, self.healthy)
        return self.exit_code == 0 and came_back and self.lost == 0 and self.untold == 0

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield what is measured and the value, for people."""
        yield "until the API was reachable again", _seconds(self.reachable, "it never was")
        yield "longest gap of reads", _seconds(self.read_gap, "none was answered")
        yield "longest gap of acknowledged writes", _seconds(self.write_gap, "none was acknowledged")
        yield "longest silence of a watch", _seconds(self.silence)
        yield "requests that failed", f"{self.failed:,} of {self.requests:,}"
        lost = "unknown: the API doesn't answer" if self.lost is None else f"{self.lost:,}"
        yield "acknowledged writes lost", f"{lost} of {self.acknowledged:,}"
        yield "acknowledged writes that a watch missed", f"{self.untold:,}"
        if self.restore is not None:
            yield "acknowledged writes that the snapshot doesn't have", f"{self.undone:,}"
        yield "until all nodes were Ready again", _seconds(self.nodes_ready, "they aren't")
        yield "until everything was healthy", _seconds(self.healthy, "it isn't")
        if self.restore is not None:
            yield "azlocal up named the restore after", _seconds(self.refused)
            yield "azlocal restore took", _seconds(self.restore)
        yield "azlocal up took", _seconds(self.up)

    def faults(self) -> Iterator[str]:
        """Yield what isn't as it has to be, and what to do."""
        if self.fault:
            yield self.fault
        if self.lost:
            yield f"{counted(self.lost, 'acknowledged write')} lost: etcd or the API server broke its word"
        if self.untold:
            yield f"a watch missed {counted(self.untold, 'acknowledged write')}"
        if self.exit_code == 0 and self.lacks:
            yield f"the cluster still lacks: {'; '.join(self.lacks)}"

    def to_json(self, stack: str) -> dict[str, Any]:
        """Return the result for scripts, seconds with two decimals."""
        return {
            "drill": self.chosen.drill,
            "stack": stack,
            "cluster": self.chosen.cluster,
            "machines": list(self.chosen.machines),
            "host": self.chosen.host or None,
            "ok": self.ok,
            "seconds": {
                "apiReachable": _rounded(self.reachable),
                "readGap": _rounded(self.read_gap),
                "writeGap": _rounded(self.write_gap),
                "watchSilence": _rounded(self.silence),
                "nodesReady": _rounded(self.nodes_ready),
                "healthy": _rounded(self.healthy),
                "up": _rounded(self.up),
                **self._of_restore({"refused": _rounded(self.refused), "restore": _rounded(self.restore)}),
            },
            "requests": {"sent": self.requests, "failed": self.failed},
            "writes": {
                "acknowledged": self.acknowledged,
                "lost": self.lost,
                "missedByWatch": self.untold,
                **self._of_restore({"undoneByRestore": self.undone}),
            },
            "faults": list(self.faults()),
        }

    def _of_restore(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return what only drills with a restore tell."""
        return values if self.restore is not None else {}


def _reachable(chosen: Break, course: Course) -> float | None:
    """Return when the API was reachable again, in seconds since it was broken.

    What counts is the last absence that began before `up`: what `up` costs is in the longest gap. Where only `up`
    brings the API back, it is the last absence of all; where a restore does, the last one until that had ended.
    """
    ends = [request.ended for request in course.load.requests if not request.fault and not request.writes]
    healing = course.healing
    if not any(end > healing.began for end in ends):
        return None
    over = healing.ended if chosen.waits_for_up else healing.began
    if healing.restored:
        over = healing.restored.ended
    ended = [until for since, until in course.load.absences() if until > course.broke and since < over]
    return max(ended) - course.broke if ended else 0.0


def _since(course: Course, holds: Callable[[Look], bool]) -> float | None:
    """Return since when something holds, in seconds since it was broken; 0 where no look missed it."""
    if course.looks and all(map(holds, course.looks)):
        return 0.0
    back = back_at(course.looks, holds)
    return None if back is None else back - course.broke


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _seconds(seconds: float | None, otherwise: str = "unknown") -> str:
    return otherwise if seconds is None else f"{seconds:.1f} s"
