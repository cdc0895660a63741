"""How long a cluster's API is away when a control plane's API server or machine dies, or leaves as planned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import libvirt
import yaml

from bench.cluster import VIP, checkout, cluster_named, insist, kubeconfig, make, start_hypervisor
from bench.result import machine
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.certificates import at_server
from infra.kubernetes.load import Client, Clients
from infra.kubernetes.watch import silent_servers

RUNS: Final = 20
_RATE: Final = 50
_WATCHES: Final = 4
_PLANES: Final = 3
_BEFORE_SECONDS: Final = 2.0
_AFTER_SECONDS: Final = 6.0
_QUIET_SECONDS: Final = 3.0
_LONGEST_SECONDS: Final = 240.0


@dataclass(frozen=True)
class Gap:
    """What clients saw in one run.

    Attributes:
        seconds: The longest time without an answer.
        slowest: Seconds of the slowest answer.
        failed: Requests that failed.
        requests: All of them.
        lost: Acknowledged writes that aren't there.
        untold: Those that a watch didn't tell of.
        silence: The longest time in seconds in which a watch told nothing.
        faults: Why requests failed.
    """

    seconds: float
    slowest: float
    failed: int
    requests: int
    lost: int
    untold: int
    silence: float
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"gap {self.seconds:.2f} s, slowest answer {self.slowest:.2f} s, "
            f"{self.failed} of {self.requests} failed, {self.lost} lost, {self.untold} untold, "
            f"longest silence of a watch {self.silence:.2f} s"
        )


@dataclass(frozen=True)
class Case:
    """One way in which a control plane goes, run by run.

    Attributes:
        name: What happens.
        gaps: What clients saw.
        most_seconds: The promise for 95 of 100 runs; None: there is none.
        most_failed: Failed requests in all runs; None: there is no promise.
    """

    name: str
    gaps: Sequence[Gap]
    most_seconds: float | None = None
    most_failed: int | None = None

    @property
    def p50(self) -> float:
        """Return the median of seconds."""
        return percentile([gap.seconds for gap in self.gaps], 50)

    @property
    def p95(self) -> float:
        """Return the seconds that 95 of 100 runs don't exceed."""
        return percentile([gap.seconds for gap in self.gaps], 95)

    @property
    def failed(self) -> int:
        """Return the failed requests of all runs."""
        return sum(gap.failed for gap in self.gaps)

    @property
    def holds(self) -> bool:
        """Return whether the promises are kept. That nothing is lost is always one."""
        return (
            not any(gap.lost or gap.untold for gap in self.gaps)
            and (self.most_seconds is None or self.p95 <= self.most_seconds)
            and (self.most_failed is None or self.failed <= self.most_failed)
        )

    def __str__(self) -> str:
        promises = [
            *([f"p95 {self.most_seconds:g} s"] if self.most_seconds is not None else []),
            *([f"{self.most_failed} failed"] if self.most_failed is not None else []),
            "nothing lost",
        ]
        longest, slowest, silence = (
            max(getattr(gap, name) for gap in self.gaps) for name in ("seconds", "slowest", "silence")
        )
        requests, lost, untold = (
            sum(getattr(gap, name) for gap in self.gaps) for name in ("requests", "lost", "untold")
        )
        faults = Counter(fault for gap in self.gaps for fault in gap.faults).most_common(4)
        lines = [
            f"{self.name}: gap p50 {self.p50:.2f} s, p95 {self.p95:.2f} s, longest {longest:.2f} s; "
            f"{self.failed} of {requests} requests failed "
            f"(promised: {', '.join(promises)}: {'holds' if self.holds else 'IS MISSED'})",
            f"  acknowledged writes: {lost} lost, {untold} not told by a watch; slowest answer {slowest:.2f} s, "
            f"longest silence of a watch {silence:.2f} s",
            "  runs " + " ".join(f"{1000 * gap.seconds:.0f}/{gap.failed}" for gap in self.gaps) + " ms/failed",
            *(f"  {count} x {fault:.110}" for fault, count in faults),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Gaps:
    """All cases."""

    cases: Sequence[Case]

    @property
    def holds(self) -> bool:
        """Return whether every promise is kept."""
        return all(case.holds for case in self.cases)

    def __str__(self) -> str:
        head = f"API of {_PLANES} control planes, {_RATE} requests/s by connections of their own, on {machine()}"
        return "\n".join([head, *map(str, self.cases)])


def percentile(values: Iterable[float], percent: int) -> float:
    """Return the smallest value that so many percent of the values don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def api_gap(runs: int = RUNS) -> Gaps:
    """Let control planes of a cluster of containers go in three ways, each so many times."""
    with tempfile.TemporaryDirectory() as folder:
        planes = {"count": _PLANES, "vmSize": "Node", "hostIP": VIP}
        copy = checkout(Path(folder) / "checkout", clusters=[cluster_named("a") | {"controlPlane": planes}])
        start_hypervisor()
        try:
            subprocess.run(make(copy, "up"), check=True, capture_output=True)
            return measured(kubeconfig(copy), runs)
        finally:
            subprocess.run(make(copy, "down"), check=True, capture_output=True)


def measured(kubeconfig: str, runs: int) -> Gaps:
    """Measure a cluster that stands."""
    cluster = _Cluster(kubeconfig)
    cluster.client.make_namespace()
    return Gaps(
        (
            Case("API server killed", _run(cluster, "kill", _Cluster.kill, runs), most_seconds=1.0),
            Case("machine destroyed", _run(cluster, "destroy", _Cluster.destroy, runs), most_seconds=2.0),
            Case("planned hand-over", _run(cluster, "hand-over", _Cluster.hand_over, runs), most_failed=0),
        )
    )


def _run(cluster: _Cluster, name: str, happens: Callable[[_Cluster, str], None], runs: int) -> list[Gap]:
    gaps = []
    for number in range(1, runs + 1):
        gaps.append(_once(cluster, f"{name}-{time.time_ns()}", happens))
        print(f"{name} {number} of {runs}: {gaps[-1]}", file=sys.stderr, flush=True)
    return gaps


def _once(cluster: _Cluster, run: str, happens: Callable[[_Cluster, str], None]) -> Gap:
    cluster.settle()
    holder = cluster.holder()
    clients = Clients(cluster.client, run, _RATE, _WATCHES)
    with clients.working() as load:
        time.sleep(_BEFORE_SECONDS)
        happens(cluster, holder)
        time.sleep(_AFTER_SECONDS)
    cluster.restore(holder)
    cluster.settle()
    faults = tuple(request.fault for request in load.failed)
    return Gap(
        seconds=load.gap,
        slowest=load.slowest,
        failed=len(faults),
        requests=len(load.requests),
        lost=len(clients.lost()),
        untold=len(clients.untold()),
        silence=max(watch.silence for watch in load.watches),
        faults=faults,
    )


@dataclass
class _Cluster:
    """The cluster, and the machines of its control planes."""

    kubeconfig: str
    client: Client = field(init=False)
    planes: dict[str, str] = field(init=False)  # addresses by machine
    _containers: libvirt.virConnect = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(self.kubeconfig)
        self._containers = libvirt.open("lxc:///system")
        nodes = ClusterApi(self.kubeconfig).items("/api/v1/nodes")
        self.planes = {
            node["metadata"]["name"]: next(
                one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"
            )
            for node in nodes
            if "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]
        }

    @property
    def _endpoint(self) -> str:
        server: str = yaml.safe_load(self.kubeconfig)["clusters"][0]["cluster"]["server"]
        return server.removeprefix("https://").partition(":")[0]

    def holder(self) -> str:
        """Return the control plane that has the cluster's address."""
        (name,) = (name for name in self.planes if self._holds(name))
        return name

    def kill(self, plane: str) -> None:
        """Kill the API server of a control plane: containers' processes are this machine's, too."""
        wanted = f"--advertise-address={self.planes[plane]}"
        for folder in Path("/proc").glob("[0-9]*"):
            words = _words(folder)
            if words[0].endswith("kube-apiserver") and wanted in words:
                os.kill(int(folder.name), signal.SIGKILL)
                return
        raise AssertionError(f"{plane} has no API server")

    def destroy(self, plane: str) -> None:
        """Have a machine end at once."""
        domain = self._containers.lookupByName(plane)
        insist(domain.destroy, while_true=domain.isActive)

    def hand_over(self, plane: str) -> None:
        """Have a control plane hand the address over, as before it goes."""
        self._inside(plane, "/usr/lib/azlocal/api-endpoint", "hand-over")

    def restore(self, plane: str) -> None:
        """Bring a control plane back."""
        domain = self._containers.lookupByName(plane)
        if not domain.isActive():
            domain.create()
        else:
            self._inside(plane, "/usr/lib/azlocal/api-endpoint", "take-part")

    def settle(self) -> None:
        """Wait until every API server is ready, and one control plane has the address, for some seconds on end."""
        deadline, since = time.monotonic() + _LONGEST_SECONDS, time.monotonic()
        while time.monotonic() - since < _QUIET_SECONDS:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the control planes aren't ready after {_LONGEST_SECONDS:.0f} s")
            if not self._is_whole():
                since = time.monotonic()
            time.sleep(0.3)

    def _is_whole(self) -> bool:
        servers = {name: ClusterApi(at_server(self.kubeconfig, at), 2) for name, at in self.planes.items()}
        return not silent_servers(servers) and sum(map(self._holds, self.planes)) == 1

    def _holds(self, plane: str) -> bool:
        return bool(self._inside(plane, "ip", "-oneline", "address", "show", "to", f"{self._endpoint}/32"))

    def _inside(self, plane: str, *command: str) -> str:
        enter = ("virsh", "--quiet", "--connect", "lxc:///system", "lxc-enter-namespace", "--noseclabel", plane)
        environment = ("/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
        done = subprocess.run([*enter, "--", *environment, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{plane}: {' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


def _words(folder: Path) -> list[str]:
    try:
        return (folder / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return [""]  # it has ended meanwhile
