"""Clusters in which pools scale, each part to be replaced by what a test is about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.lifecycle.scaling.objects import HOST, Node, Pod
from infra.lifecycle.scaling.view import Pool, View

NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
GIB = 1 << 30
MINUTE = timedelta(minutes=1)


def node(name: str, *, cores: float = 2, gib: float = 4, pods: int = 110, **more: Any) -> Node:
    """Return a node that joined, and is Ready, since an hour."""
    labels = {HOST: name} | more.pop("labels", {})
    allocatable = {"cpu": int(cores * 1000), "memory": int(gib * GIB) * 1000, "pods": pods * 1000}
    long_ago = NOW - timedelta(hours=1)
    return Node(name, allocatable, labels, **{"created": long_ago, "ready_since": long_ago, **more})


def pod(name: str, on: str = "", *, cores: float = 1, gib: float = 1, **more: Any) -> Pod:
    """Return a pod of a ReplicaSet; without a node, one that finds none."""
    requests = {"cpu": int(cores * 1000), "memory": int(gib * GIB) * 1000, "pods": 1000}
    told = {"owner": "ReplicaSet", "unschedulable": not on, "created": NOW - MINUTE, **more}
    return Pod("default", name, requests, node=on, **told)


def pool(name: str = "pool1", *, size: int = 1, least: int = 1, most: int = 3, **template: Any) -> Pool:
    """Return a pool whose machines are named after it."""
    machines = tuple(f"{name}-{number}" for number in range(most))
    return Pool(name, machines, size, least, most, node("new", **template))


def view(pools: Iterable[Pool], nodes: Iterable[Node], pods: Iterable[Pod] = (), **more: Any) -> View:
    """Return a cluster as it is now."""
    return View(NOW, tuple(pools), tuple(nodes), tuple(pods), **more)
