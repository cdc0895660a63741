"""The planner (addresses and placement) against its promises: absolute times, so the machine is named with them.

In process, once everything is imported: 16 hosts, 32 clusters and 200 nodes in 50 ms; 32 clusters of 200 nodes
in 1 s, and in time that grows with the nodes. `azlocal plan` as a whole process in twelve starts of Python.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.result import Limit, Ratio
from infra.plan.addresses import plan_addresses
from infra.plan.instance import Plan, plan_instance
from infra.plan.locks import Locks
from infra.spec import InstanceSpec
from tests.instances import cluster, files, host, infrastructure, make_spec, network, write_files
from tests.project import ROOT

RUNS = 7
CLUSTERS = 32
# CI freezes the lock; without byte code every run compiles all of azlocal again, 60 ms.
_UNLIKE_DAILY_USE = {"CI", "PYTHONDONTWRITEBYTECODE"}
_NETWORK = network("10.40.0.10", "10.40.60.0", addressPrefix="10.40.0.0/16", gateway="10.40.0.1")
_PARTS: dict[str, Any] = {
    "hosts": [host(number, memoryGiB=8192, diskGiB=1_000_000) for number in range(1, 17)],
    "networks": [{**_NETWORK, "dnsServers": ["10.0.0.5"]}],
    "infra": infrastructure(pool={"start": "192.168.1.100", "end": "192.168.1.110"}),
}


def plan_of_200_nodes() -> Limit:
    """16 hosts, 32 clusters, 200 nodes: a full instance as people have them."""
    return Limit("plan 16 hosts, 32 clusters, 200 nodes", _plan_times(_instance(-(-200 // CLUSTERS))), 0.050)


def plan_of_6400_nodes() -> Limit:
    """32 clusters of 200 nodes: all that Azure Local allows."""
    return Limit("plan 32 clusters of 200 nodes", _plan_times(_instance(200)), 1.0)


def plan_grows_linearly() -> Ratio:
    """Twice the nodes take twice the time."""
    full, half = _instance(200), _instance(100)
    ours, twice_half = [], []
    for _ in range(RUNS):
        ours.append(_seconds(lambda: plan_addresses(full)))
        twice_half.append(2 * _seconds(lambda: plan_addresses(half)))
    return Ratio("32 x 200 nodes against twice 32 x 100", ours, twice_half, 1.3)


def plan_as_a_process() -> Ratio:
    """`azlocal plan` from the shell: start, read, plan, print; with a lock file, as in daily use.

    The yardstick is an empty Python program of the same environment, in turn with ours.
    """
    scripts = ROOT / ".venv" / "bin"
    azlocal, empty = str(scripts / "azlocal"), [str(scripts / "python"), "-c", "pass"]
    environment = {key: value for key, value in os.environ.items() if key not in _UNLIKE_DAILY_USE}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files([cluster("a", planes=3, workers=5), cluster("b", workers=3)]))
        command = [azlocal, "-C", folder, "plan", "lab"]
        _processor_seconds(command, environment)  # writes the lock, and Python's byte code
        runs = [
            (_processor_seconds(command, environment), _processor_seconds(empty, environment))
            for _ in range(2 * RUNS)
        ]
    ours, starts = (list(part) for part in zip(*runs, strict=True))
    return Ratio("azlocal plan, the whole process, in starts of Python", ours, starts, 12)


def _instance(nodes: int) -> InstanceSpec:
    """Return 32 clusters of so many nodes each, control plane included."""
    planes, most = (1 if nodes < 100 else 3), 64
    workers = nodes - planes
    pools = [
        {"name": f"pool{number}", "count": min(most, workers - start)}
        for number, start in enumerate(range(0, workers, most))
    ]
    clusters = [
        cluster(f"c{number:02}", planes=planes, agentPools=pools, loadBalancer={"count": 3})
        for number in range(CLUSTERS)
    ]
    return make_spec(*clusters, **_PARTS)


def _plan_times(spec: InstanceSpec) -> list[float]:
    """Time plans with locks that hold all addresses and places already, as most runs are."""
    plan = plan_instance(spec)
    assert plan.ok, [str(finding) for finding in plan.findings]
    locks = plan.locks_after(Locks())

    def run() -> Plan:
        return plan_instance(spec, locks)

    return [_seconds(run) for _ in range(RUNS)]


def _processor_seconds(command: list[str], environment: Mapping[str, str]) -> float:
    """Return what a process took of processors: on a busy machine the time on the wall is mostly others'."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
