"""`make down` where nothing can be asked of the cluster any more: clean all the same, and quick.

A healthy cluster's end is the last test of test_cluster.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.cluster import Kubernetes, eventually, kubernetes, kubernetes_cluster
from tests.instance import INSTANCE, MakeProject, on, power_off
from tests.leftovers import leftovers
from tests.project import Project

pytestmark = pytest.mark.e2e

SECONDS = 60
"""Less than any wait for an API server, and for a busy machine far more than it takes."""


def stop_machines(project: Project, a: Kubernetes) -> None:
    for machine in (a.control_plane, a.worker, f"{INSTANCE}-rb-0"):
        power_off(machine)


def lose_api_server(project: Project, a: Kubernetes) -> None:
    """Answer nothing on the API server's port, not even a refusal: the slowest way to be unreachable."""
    rule = ["-t", "raw", "-I", "PREROUTING", "-p", "tcp", "--dport", "6443", "-j", "DROP"]
    on(project, a.control_plane, "sudo", "iptables", *rule)
    eventually(lambda: a.run("get", "--raw", "/livez", "--request-timeout=2s").returncode != 0, "silence", 30)


@pytest.mark.parametrize("break_it", [stop_machines, lose_api_server])
def test_down_is_clean_and_quick(
    make_project: MakeProject, break_it: Callable[[Project, Kubernetes], None]
) -> None:
    project = make_project(clusters=[kubernetes_cluster()])
    project.up(timeout=900).expect()
    break_it(project, kubernetes(project, "a"))
    started = time.monotonic()
    project.settle("--before-destroy").expect()
    project.destroy().expect()
    assert time.monotonic() - started < SECONDS
    assert leftovers(INSTANCE) == []
