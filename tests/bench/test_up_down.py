"""What the benchmark of up and down says: promises kept and missed, and which runs are drawn."""

from __future__ import annotations

from typing import Any

import pytest

from bench.phases import Phase
from bench.up_down import Report, Run, cluster_moments, drawn
from infra.kubernetes.api import ClusterApi, Object


def run(name: str, seconds: float, *phases: Phase) -> Run:
    return Run(name, seconds, cpu=seconds, own_cpu=1.0, phases=phases)


@pytest.mark.parametrize(("seconds", "holds"), [(39.9, True), (40.1, False)])
def test_a_promise_is_kept_or_missed(seconds: float, holds: bool) -> None:
    report = Report((run("up", seconds), run("a script by hand, up", 500)), "here")
    assert report.holds is holds
    assert ("IS MISSED" in str(report)) is not holds


def test_the_runs_with_phases_are_drawn_beside_what_others_publish() -> None:
    phases = (Phase("machines are up", 12, 20), Phase("all is available", 20, 30))
    report = Report((run("a script by hand, up", 60), run("up", 32, *phases), run("down", 9)), "here")
    text = drawn(report)
    for word in ("azlocal, up", "machines are up 12.0", "by hand, raw libvirt", "kind 0.29"):
        assert word in text
    assert "azlocal, down" not in text


class Told(ClusterApi):
    """A cluster whose second node and second DNS pod were Ready later."""

    def __init__(self) -> None:
        pass

    def items(self, path: str, **query: str) -> list[Object]:
        """Return two of them."""
        found: list[dict[str, Any]] = [
            {
                "status": {
                    "conditions": [
                        {"type": "Ready", "status": "True", "lastTransitionTime": f"1970-01-01T00:00:0{second}Z"}
                    ]
                }
            }
            for second in ("1", "5")
        ]
        return [*found, {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}]


def test_a_cluster_is_ready_with_its_last_node_and_answers_by_dns_with_its_first_pod() -> None:
    assert cluster_moments(Told()) == {"every node is Ready": 5.0, "DNS answers": 1.0}
