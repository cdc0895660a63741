"""What goes wrong inside a cluster: `up` says what and where within its time, and the next `up` repairs it.

One cluster serves all tests of this file; each leaves it whole.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.addresses import plan_addresses, read_lock
from infra.spec import load_instance
from tests.cluster import Kubernetes, eventually, is_true, kubernetes, kubernetes_cluster
from tests.instance import INSTANCE, on, projects
from tests.project import Project, Run

pytestmark = pytest.mark.e2e

MINUTES = 1  # timeoutMinutes of a cluster that is known to fail


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("faults")
    with projects(folder) as make:
        project = make(clusters=[kubernetes_cluster()])
        project.environment["XDG_STATE_HOME"] = str(folder / "state-home")  # where logs are collected
        project.up(timeout=900).expect()
        yield project


@pytest.fixture(scope="module")
def a(project: Project) -> Kubernetes:
    return kubernetes(project, "a")


def fails(project: Project, **cluster: Any) -> Run:
    """Run an `up` that can't succeed with a minute's patience; it has to end by itself, soon after."""
    project.edit(clusters=[kubernetes_cluster(timeoutMinutes=MINUTES, **cluster)])
    started = time.monotonic()
    run = project.up()
    assert run.code != 0, run.output
    assert "Traceback" not in run.output
    took = time.monotonic() - started
    assert took < MINUTES * 60 + 90, f"{took:.0f} s, though the cluster's limit is {MINUTES} min"
    return run


def repairs(project: Project, a: Kubernetes, **cluster: Any) -> None:
    """Run the next `up`, after which everything is there."""
    project.edit(clusters=[kubernetes_cluster(**cluster)])
    project.up(timeout=900).expect()
    assert all(a.nodes().values()), a.nodes()
    # A pod that was put out to spare a node stays listed as failed; its replacement runs.
    assert [pod for pod in a.unfinished_pods() if not pod.endswith(": Failed")] == []


def logs(run: Run) -> Path:
    """Return the folder that an error names."""
    found = re.search(r"Logs of its pods and machines are in (\S+)\. ", run.output)
    assert found, run.output
    folder = Path(found[1])
    assert folder.is_dir()
    return folder


def test_an_image_that_does_not_exist(project: Project, a: Kubernetes) -> None:
    wrong = {"metallb": {"values": {"controller": {"image": {"tag": "nope"}}}}}
    run = fails(project, addOns=wrong)
    assert re.search(r"metallb-system/metallb-controller: .*(ErrImagePull|ImagePullBackOff)", run.output)
    assert "controller:nope" in run.output
    folder = logs(run)
    assert "controller:nope" in (folder / "metallb-system-events.txt").read_text()
    assert "controller:nope" in (folder / "metallb-system-pods.json").read_text()
    repairs(project, a)


def test_a_node_whose_disk_is_full(project: Project, a: Kubernetes) -> None:
    room = int(on(project, a.worker, "df", "--output=avail", "-B1M", "/").split()[-1])
    # ext4 keeps a file's room without writing it, so the host's disk doesn't fill.
    on(project, a.worker, "sudo", "fallocate", "-l", f"{room - 100}M", "/full")
    eventually(lambda: is_true(a.get("node", a.worker), "DiskPressure"), "kubelet reports the full disk", 120)
    assert f"node {a.worker} has DiskPressure" in project.refresh().expect().output
    run = fails(project)
    assert f"node {a.worker} has DiskPressure" in run.output
    machine = (logs(run) / f"machine-{a.worker}.txt").read_text()
    assert re.search(r"/dev/\S+ .* (99|100)% /", machine), "df is in the logs"
    on(project, a.worker, "sudo", "rm", "/full")
    # kubelet itself holds the condition for five minutes more; started again, it looks anew.
    on(project, a.worker, "sudo", "systemctl", "restart", "kubelet")
    repairs(project, a)


def test_a_node_that_can_not_join(project: Project, a: Kubernetes) -> None:
    two: dict[str, Any] = {"agentPools": [{"name": "pool1", "count": 2, "vmSize": "Node"}]}
    late = f"{INSTANCE}-a-pool1-1"
    project.edit(clusters=[kubernetes_cluster(**two)])
    packets = ["-s", planned_address(project, "a-pool1-1"), "-p", "tcp", "--dport", "6443", "-j", "DROP"]
    on(project, a.control_plane, "sudo", "iptables", "-t", "raw", "-I", "PREROUTING", *packets)
    run = fails(project, **two)
    assert f"node {late} has not joined" in run.output
    assert "Make this machine a node" in (logs(run) / f"machine-{late}.txt").read_text(), (
        "its journal is in the logs"
    )
    on(project, a.control_plane, "sudo", "iptables", "-t", "raw", "-D", "PREROUTING", *packets)
    repairs(project, a, **two)
    assert set(a.nodes()) == {a.control_plane, a.worker, late}

    repairs(project, a)
    assert set(a.nodes()) == {a.control_plane, a.worker}, "a node that left is forgotten"


def planned_address(project: Project, owner: str) -> str:
    """Return the address that the plan gives to a machine that isn't there yet."""
    spec = load_instance(INSTANCE, project.directory)
    plan = plan_addresses(spec, read_lock(spec.lock_path))
    return next(one.address for network in plan.networks for one in network.allocations if one.owner == owner)
