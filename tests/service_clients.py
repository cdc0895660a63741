"""Clients of a cluster that is changed: what they ask all the while, and what they are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from tests.cluster import Kubernetes, eventually, fetched, load_balancer_address, web_deployment, web_service


def serve_without_a_break(a: Kubernetes) -> None:
    """Start a service of two replicas that may lose one, as servers are written that are to lose no request."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    servers = web_deployment("web")
    spec = servers["spec"]["template"]["spec"]
    del spec["tolerations"]  # they would come back to a node that is cordoned
    spec["topologySpreadConstraints"][0]["whenUnsatisfiable"] = "ScheduleAnyway"
    # Who is asked until everybody knows that it ends, as any server that is to lose no request.
    spec["terminationGracePeriodSeconds"] = 5
    spec["containers"][0]["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "4"]}}}
    a.apply(servers, web_service("web", "web"), budget)
    a.kubectl("rollout", "status", "deployment/web", "--timeout=120s")


@dataclass
class Clients:
    """What clients saw of the service and of the API.

    Attributes:
        service: When the service answered, in seconds.
        refused: When it didn't.
        written: Names that the API acknowledged.
        seen: Nodes with the versions that their kubelets had.
        lost: How many of the written aren't there afterwards.
        gap: The longest time between two acknowledged writes, in seconds.
    """

    service: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    written: dict[str, float] = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)
    lost: int = 0

    @property
    def silence(self) -> float:
        """Return the longest time between two answers of the service, in seconds."""
        return max((later - sooner for sooner, later in pairwise(self.service)), default=0.0)

    @property
    def gap(self) -> float:
        """Return the longest time without an acknowledged write, in seconds."""
        return max((later - sooner for sooner, later in pairwise(self.written.values())), default=0.0)

    def __str__(self) -> str:
        return (
            f"service: {len(self.service)} answers, {len(self.refused)} without, "
            f"longest silence {self.silence:.1f} s; "
            f"API: {len(self.written)} writes, longest gap {self.gap:.1f} s, lost {self.lost}"
        )


@contextmanager
def asked_all_the_while(a: Kubernetes) -> Iterator[Clients]:
    """Ask the service ten times a second, and write into the API, until the end of the block."""
    clients, ended, began = Clients(), threading.Event(), time.time()  # names of this run alone
    service = load_balancer_address(a, "web")
    eventually(lambda: fetched(service), "the service answers")

    def ask() -> None:
        while not ended.wait(0.1):
            if fetched(service):
                clients.service.append(time.monotonic())
            else:
                clients.refused.append(time.monotonic())

    def write() -> None:
        while not ended.wait(0.2):
            name = f"written-{began:.0f}-{len(clients.written)}"
            if a.run("create", "configmap", name, "--request-timeout=3s").returncode == 0:
                clients.written[name] = time.monotonic()

    def look() -> None:
        columns = "custom-columns=:.metadata.name,:.status.nodeInfo.kubeletVersion"
        while not ended.wait(1):
            listed = a.run("get", "nodes", "--no-headers", f"--output={columns}", "--request-timeout=3s")
            for line in listed.stdout.splitlines() if listed.returncode == 0 else ():
                name, version = line.split()
                clients.seen.add((name, version))

    threads = [threading.Thread(target=what) for what in (ask, write, look)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    there = {one["metadata"]["name"] for one in a.get("configmaps")["items"]}
    clients.lost = len(clients.written.keys() - there)
