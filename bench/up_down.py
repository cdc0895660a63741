"""A cluster of two nodes up and down, as users see it: seconds and processor time of each phase.

Two instances, one without Azure Arc and one with its emulator, each from nothing but caches; beside them, in the
same run, what the engine takes for as many resources that are nothing, and a script by hand on raw libvirt.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.cluster import by_hand, checkout, kubeconfig, make, start_hypervisor
from bench.phases import Phase, Recording, recorded, table
from bench.picture import PUBLISHED, Bar, picture
from bench.result import hardware, machine
from infra.image.build import build_node_image
from infra.kubernetes.api import ClusterApi, ClusterError
from tests.project import ROOT

PICTURE: Final = ROOT / "docs/up.svg"
_APPLICATION_SECONDS: Final = 120.0
_LIMITS: Final = {
    "up": 40.0,
    "up with Arc": 55.0,
    "up that changes nothing": 4.0,
    "down": 12.0,
    "down with Arc": 12.0,
}


@dataclass(frozen=True)
class Run:
    """One command, watched.

    Attributes:
        name: What it is called in the table.
        seconds: By the clock.
        cpu: Of the whole machine.
        own_cpu: Of the command's own processes; a cluster's are libvirt's.
        phases: What it did when.
        resources: How many the engine made.
    """

    name: str
    seconds: float
    cpu: float
    own_cpu: float
    phases: tuple[Phase, ...] = ()
    resources: int = 0

    @property
    def limit(self) -> float | None:
        """Return what is promised, None where nothing is."""
        return _LIMITS.get(self.name)

    def __str__(self) -> str:
        promise = f" (limit {self.limit:.0f}: {'holds' if self.holds else 'IS MISSED'})" if self.limit else ""
        head = f"{self.name}: {self.seconds:.1f} s{promise}, processors {self.cpu:.1f} s, own {self.own_cpu:.1f} s"
        return f"{head}\n{table(self.phases)}" if self.phases else head

    @property
    def holds(self) -> bool:
        """Return whether it took no longer than promised."""
        return self.limit is None or self.seconds <= self.limit


@dataclass(frozen=True)
class Report:
    """All runs of the benchmark.

    Attributes:
        runs: In their order.
        where: The machine, as it was before the first.
    """

    runs: tuple[Run, ...]
    where: str

    @property
    def holds(self) -> bool:
        """Return whether every promise is kept."""
        return all(run.holds for run in self.runs)

    def __str__(self) -> str:
        return "\n".join([f"a cluster of 1 + 1 nodes, up and down, on {self.where}", *map(str, self.runs)])


def up_down() -> Report:
    """Run everything once and draw the picture."""
    image = build_node_image(print)
    assert image.bundle is not None, "the image of Kubernetes nodes has one"
    runs: list[Run] = []
    where = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_hypervisor()
        with _watched("a script by hand, up", folder / "none", runs):
            seconds = by_hand(folder / "by-hand", image.container, image.bundle)
        runs[-1] = Run(runs[-1].name, seconds, runs[-1].cpu, runs[-1].own_cpu)
        for suffix, config in (("", {}), (" with Arc", {"arc": {"cloud": "emulator"}, "location": "eastus"})):
            runs += _life(checkout(folder / f"checkout{len(runs)}", **config), suffix, folder)
        most = max(run.resources for run in runs)
        runs.append(_floor(folder / "floor", most))
    report = Report(tuple(runs), where)
    PICTURE.write_text(drawn(report), encoding="utf-8")
    return report


def _life(copy: Path, suffix: str, folder: Path) -> Iterator[Run]:
    """Make an instance, again, look what works, and take it down."""
    runs: list[Run] = []

    def event_log(verb: str) -> Path:
        return folder / f"{verb}{suffix}.log".replace(" ", "-")  # PULUMI_FLAGS are words

    try:
        log = event_log("up")
        with _watched(f"up{suffix}", log, runs) as recording:
            _run(copy, "up", log)
        api = ClusterApi(kubeconfig(copy))
        runs[-1] = _told(runs[-1], recording, api)
        yield runs[-1]
        with _watched(f"an application answers at its LoadBalancer address{suffix}", log, runs):
            _application(api)
        yield runs[-1]
        if not suffix:
            with _watched("up that changes nothing", event_log("again"), runs):
                _run(copy, "up", event_log("again"))
            yield runs[-1]
    finally:
        with _watched(f"down{suffix}", event_log("down"), runs):
            _run(copy, "down", event_log("down"))
    yield runs[-1]


@contextmanager
def _watched(name: str, log: Path, runs: list[Run]) -> Iterator[Recording]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with recorded(log) as recording:
        yield recording
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    runs.append(Run(name, recording.seconds, recording.cpu_until(recording.ended), own))
    print(f"{name}: {recording.seconds:.1f} s", file=sys.stderr, flush=True)


def _run(copy: Path, target: str, log: Path) -> None:
    flags = {"PULUMI_DEBUG_COMMANDS": "true", "PULUMI_FLAGS": f"--event-log {log}"}
    done = subprocess.run(make(copy, target), env=os.environ | flags, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"make {target} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")


# -- moments --------------------------------------------------------------------------------------


def _told(run: Run, recording: Recording, api: ClusterApi) -> Run:
    moments = {
        "the image is on the host": recording.made("azlocal:index:Image"),
        "machines are up": recording.made("azlocal:index:Machine"),
        "the API server answers": recording.made("azlocal:index:ControlPlane"),
        "add-ons are released": recording.made("kubernetes:helm.sh/v3:Release"),
        **cluster_moments(api),
        "all is available": recording.made("azlocal:index:Cluster"),
        "Arc is Connected": recording.made("azlocal:index:ConnectedCluster"),
        "make is done": recording.ended,
    }
    phases = tuple(recording.phases(moments.items()))
    return Run(run.name, run.seconds, run.cpu, run.own_cpu, phases, recording.resources())


def cluster_moments(api: ClusterApi) -> dict[str, float | None]:
    """Return what a cluster tells of its own start, in whole seconds."""
    nodes = [_since(node, "Ready") for node in api.items("/api/v1/nodes")]
    selected = {"labelSelector": "k8s-app=kube-dns"}
    dns = [_since(pod, "Ready") for pod in api.items("/api/v1/namespaces/kube-system/pods", **selected)]
    return {
        "every node is Ready": max((one for one in nodes if one is not None), default=None),
        "DNS answers": min((one for one in dns if one is not None), default=None),
    }


def _since(thing: Mapping[str, Any], condition: str) -> float | None:
    for one in thing["status"].get("conditions", []):
        if one["type"] == condition and one["status"] == "True":
            return datetime.fromisoformat(one["lastTransitionTime"]).timestamp()
    return None


def _application(api: ClusterApi) -> None:
    """Start a web server that has found the API server's name by DNS, and wait for it at its address."""
    labels = {"app": "bench"}
    serve = "until nslookup kubernetes.default.svc.cluster.local; do sleep 0.1; done; echo ok >/tmp/index.html; "
    container = {
        "name": "web",
        "image": "docker.io/library/busybox:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", f"{serve}exec httpd -f -p 8080 -h /tmp"],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bench"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bench"},
        "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    api.send("POST", "/apis/apps/v1/namespaces/default/deployments", deployment)
    api.send("POST", "/api/v1/namespaces/default/services", service)
    deadline = time.monotonic() + _APPLICATION_SECONDS
    while not _answers(api):
        if time.monotonic() > deadline:
            raise TimeoutError("no application answers at a LoadBalancer address")
        time.sleep(0.1)


def _answers(api: ClusterApi) -> bool:
    try:
        found = api.get("/api/v1/namespaces/default/services/bench")["status"]["loadBalancer"].get("ingress")
    except ClusterError:
        return False
    if not found:
        return False
    asked = ["curl", "--silent", "--fail", "--max-time", "1", f"http://{found[0]['ip']}/index.html"]
    return subprocess.run(asked, capture_output=True, check=False).stdout.strip() == b"ok"


# -- the engine's floor ---------------------------------------------------------------------------


def _floor(folder: Path, count: int) -> Run:
    """Return what the engine takes for so many resources behind which there is nothing."""
    folder.mkdir()
    (folder / "state").mkdir()
    runtime = {"name": "python", "options": {"virtualenv": str(ROOT / ".venv")}}
    (folder / "Pulumi.yaml").write_text(json.dumps({"name": "floor", "runtime": runtime, "main": "."}))
    program = (
        f"import pulumi\nfor n in range({count}):\n    pulumi.ComponentResource('bench:index:Nothing', str(n))\n"
    )
    (folder / "__main__.py").write_text(program)
    path = f"{ROOT / '.azlocal/bin'}{os.pathsep}{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    own = {
        "PATH": path,
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def engine(*arguments: str) -> None:
        command = ["pulumi", *arguments, "--stack", "floor", "--non-interactive"]
        subprocess.run(command, cwd=folder, env=os.environ | own, capture_output=True, check=True)

    engine("stack", "init")
    runs: list[Run] = []
    with _watched(f"the engine alone, {count} resources that are nothing", folder / "none", runs):
        engine("up", "--yes", "--skip-preview")
    engine("destroy", "--yes", "--skip-preview")
    return runs[0]


# -- picture --------------------------------------------------------------------------------------


def drawn(report: Report) -> str:
    """Return the picture of what has phases, beside the script by hand and what others publish."""
    runs = {run.name: run for run in report.runs}
    here = f"this machine: {hardware()}"
    bars = [
        Bar(f"azlocal, {name}", [(one.name, one.seconds) for one in run.phases], here)
        for name, run in runs.items()
        if run.phases
    ]
    hand = runs["a script by hand, up"]
    bars.append(
        Bar("by hand, raw libvirt", [("until all runs", hand.seconds)], "the same nodes and charts, no Arc")
    )
    return picture(
        [*bars, *PUBLISHED], "From nothing to a cluster: control plane, worker, Calico, MetalLB, storage"
    )
