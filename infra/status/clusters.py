"""Clusters: etcd, API servers, nodes, what runs on them, addresses of Services. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from infra.counting import counted
from infra.guest import API_PORT
from infra.kubernetes.etcd import Membership
from infra.kubernetes.health import Lack, lacking, pod_problem
from infra.kubernetes.readiness import is_true
from infra.plan.topology import Cluster
from infra.status.machines import KEYS, STATE, Fleet
from infra.status.model import ArcStatus, ClusterStatus, EtcdStatus, Level, Share
from infra.status.model import State as Health
from infra.status.seen import Objects, SeenCluster, Unseen
from infra.status.trouble import Key, Trouble

_NOBODY: Final = Unseen("it was never asked")
_NEVER_ASKED: Final = SeenCluster(_NOBODY, _NOBODY, _NOBODY, _NOBODY)


@dataclass(frozen=True)
class StandingCluster:
    """A cluster that a run has begun to make.

    Attributes:
        fleet: The instance's machines.
        cluster: The cluster, as planned.
    """

    fleet: Fleet
    cluster: Cluster

    @classmethod
    def all_of(cls, fleet: Fleet) -> list[StandingCluster]:
        """Return the clusters of which there are machines in state, and that Kubernetes is to be on."""
        made = fleet.seen.state.machines
        return [
            cls(fleet, cluster)
            for cluster in fleet.topology.clusters
            if cluster.provisioning == "kubernetes" and any(name in made for name in cluster.machines)
        ]

    @property
    def name(self) -> str:
        """Return its name."""
        return self.cluster.name

    @property
    def seen(self) -> SeenCluster:
        """Return what it told."""
        return self.fleet.seen.clusters.get(self.name, _NEVER_ASKED)

    @property
    def up(self) -> str:
        """Return the command that repairs most of it."""
        return f"azlocal up {self.fleet.stack}"

    @property
    def nodes(self) -> list[str]:
        """Return the nodes that were made and are planned."""
        return [name for name in self.cluster.machines if name in self.fleet.seen.state.machines]

    @property
    def planes(self) -> list[str]:
        """Return the control planes among them."""
        return [name for name in self.nodes if self.fleet.planned[name].role == "controlPlane"]

    @cached_property
    def lacks(self) -> list[Lack]:
        """Return what its objects lack."""
        if isinstance(self.seen.objects, Unseen):
            return []
        started = {name: self.fleet.seen.state.machines[name].started for name in self.nodes}
        return lacking(self.seen.objects.snapshot, started)

    @cached_property
    def ready(self) -> dict[str, bool]:
        """Return whether each node is Ready; of none, where the API server didn't answer."""
        if isinstance(self.seen.objects, Unseen):
            return {}
        ready = {
            str(node["metadata"]["name"]): is_true(node, "Ready") for node in self.seen.objects.snapshot.nodes
        }
        unready = {lack.node for lack in self.lacks if lack.node and not lack.is_chosen}
        return {name: ready.get(name, False) and name not in unready for name in self.nodes}

    def of_planes(self) -> tuple[Key, ...]:
        """Return what may keep its control planes from running: machines before networks, these before hosts."""
        own = [self.fleet.causes(name) for name in self.planes]
        return (*(key for keys in zip(*own, strict=True) for key in keys), *self.certificates)

    @property
    def certificates(self) -> tuple[Key, ...]:
        """Return what its API servers' certificates are known by as causes."""
        return tuple(("certificate", name) for name in self.planes)


def cluster_troubles(of: StandingCluster) -> Iterator[Trouble]:
    """Yield what is the matter with a cluster: etcd before the API server, nodes before pods."""
    yield from _etcd(of)
    yield from _api(of)
    yield from _servers(of)
    objects = of.seen.objects
    if not isinstance(objects, Unseen):
        yield from _nodes(of)
        yield from _workloads(of)
        yield from _pods(of, objects)
        yield from _services(of, objects)


def _etcd(of: StandingCluster) -> Iterator[Trouble]:
    key, etcd = ("etcd", of.name), of.seen.etcd
    subject = f"etcd of cluster {of.name}"
    if isinstance(etcd, Unseen):
        causes = (KEYS, *of.of_planes())
        yield Trouble(key, "unknown", f"can't be looked at: {etcd.why}", "", causes, subject)
        return
    causes = (*of.of_planes(), STATE)
    if etcd is None:
        remedy = f"{of.up}; where control planes run and etcd doesn't: azlocal restore {of.fleet.stack} {of.name}"
        yield Trouble(key, "wrong", "none of its members answers", remedy, causes, subject)
        return
    if not etcd_status(etcd).has_quorum:
        voters = [member for member in etcd.members if not member.learner]
        text = f"has no quorum: healthy are {_healthy(etcd)} of {counted(len(voters), 'member')}"
        remedy = f"{of.up} starts machines that are off; else azlocal restore {of.fleet.stack} {of.name}"
        yield Trouble(key, "wrong", text, remedy, causes, subject)
    known = {member.name for member in etcd.members}
    for member in etcd.members:
        if member.id not in etcd.healthy:
            name = member.name or member.address
            yield _member(of, name, "doesn't answer, knows no leader, or raises an alarm")
    for name in of.planes:
        if name not in known:
            yield _member(of, name, "is missing")


def _member(of: StandingCluster, name: str, text: str) -> Trouble:
    causes = of.fleet.causes(name) if name in of.nodes else ()
    key, subject = ("member", of.name, name), f"etcd member {name} of cluster {of.name}"
    return Trouble(key, "wrong", text, of.up, (*causes, ("certificate", name), ("etcd", of.name), STATE), subject)


def _healthy(etcd: Membership) -> int:
    return sum(member.id in etcd.healthy and not member.learner for member in etcd.members)


def etcd_status(etcd: Membership) -> EtcdStatus:
    """Return how many members are healthy, and whether that is a quorum."""
    voters = sum(not member.learner for member in etcd.members)
    healthy = _healthy(etcd)
    return EtcdStatus(healthy=healthy, members=voters, has_quorum=bool(etcd.leader) and healthy * 2 > voters)


def _api(of: StandingCluster) -> Iterator[Trouble]:
    objects = of.seen.objects
    if not isinstance(objects, Unseen):
        return
    key = ("api", of.name)
    causes: tuple[Key, ...] = (KEYS, ("etcd", of.name), *of.certificates, STATE)
    if all(of.fleet.states[name] != "running" for name in of.planes):
        causes = (*of.of_planes(), *causes)  # else one that runs would answer
    level: Level = "wrong" if objects.is_refusal else "unknown"
    subject = f"API server of cluster {of.name}"
    yield Trouble(key, level, objects.why, of.up, causes, subject)
    subject = f"nodes and pods of cluster {of.name}"
    yield Trouble(("cluster", of.name), "unknown", "not looked at", "", (key,), subject)


def _servers(of: StandingCluster) -> Iterator[Trouble]:
    silent, api = of.seen.silent, ("api", of.name)
    if isinstance(silent, Unseen):
        subject = f"API servers of cluster {of.name}, each by itself"
        yield Trouble(("servers", of.name), "unknown", f"not looked at: {silent.why}", "", (KEYS, api), subject)
        return
    for name in silent:
        causes = (*of.fleet.causes(name), ("certificate", name), ("member", of.name, name), api)
        yield Trouble(("server", name), "wrong", "isn't ready", of.up, causes, f"API server on {name}")


def _nodes(of: StandingCluster) -> Iterator[Trouble]:
    for lack in of.lacks:
        if lack.node:
            level: Level = "warning" if lack.is_chosen else "wrong"
            text = lack.text.removeprefix(f"node {lack.node} ")
            yield Trouble(("node", lack.node), level, text, of.up, of.fleet.causes(lack.node))


def _causes_on(of: StandingCluster, nodes: Collection[str]) -> tuple[Key, ...]:
    """Return what may keep pods from being ready: their nodes; where they are on none, any that takes no pods."""
    return tuple(
        ("node", lack.node)
        for lack in of.lacks
        if lack.node and (lack.node in nodes and not lack.is_chosen if nodes else True)
    )


def _workloads(of: StandingCluster) -> Iterator[Trouble]:
    for number, lack in enumerate(lack for lack in of.lacks if not lack.node):
        remedy = f"{of.up} waits for it, and says why it doesn't come"
        causes = (*_causes_on(of, lack.nodes), STATE)
        yield Trouble(("lack", of.name, str(number)), "wrong", lack.text, remedy, causes, f"cluster {of.name}")


def _pods(of: StandingCluster, objects: Objects) -> Iterator[Trouble]:
    """Yield pods of users' own that don't run; azlocal's are `lacking`'s matter."""
    ours = {pod["metadata"]["uid"] for pod in objects.snapshot.pods if "uid" in pod["metadata"]}
    others = [pod for pod in objects.pods if pod["metadata"].get("uid") not in ours]
    unready = [(pod, problem) for pod in others if (problem := pod_problem(pod))]
    causes = [_causes_on(of, {_node_of(pod)} - {""}) for pod, _ in unready]
    alone = sum(not keys for keys in causes)
    key = ("pods", of.name)
    if alone:
        remedy = "kubectl describe pod says more"
        yield Trouble(
            key, "warning", f"{counted(alone, 'pod')} not ready", remedy, (), f"pods in cluster {of.name}"
        )
    for (pod, problem), keys in zip(unready, causes, strict=True):
        path = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        text = problem.removeprefix(f"pod {pod['metadata']['name']}").lstrip(", ")
        yield Trouble(("pod", of.name, path), "warning", text, "", keys or (key,), f"pod {path}")


def _services(of: StandingCluster, objects: Objects) -> Iterator[Trouble]:
    use = services_of(of.cluster, objects)
    waiting = [service for service in _balanced(objects.services) if not _addresses([service])]
    key = ("addresses", of.name)
    if waiting and use.count >= use.total:
        text = f"its {counted(use.total, 'address')} for Services are all in use"
        remedy = (
            f"remove a Service of type LoadBalancer, or give the cluster more: loadBalancer in "
            f"Pulumi.{of.fleet.stack}.yaml"
        )
        yield Trouble(key, "wrong", text, remedy, (), f"load balancer of cluster {of.name}")
    for service in waiting:
        path = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        causes = (key, *_causes_on(of, ()))
        remedy = "kubectl describe service says why"
        yield Trouble(
            ("service", of.name, path), "warning", "has no address yet", remedy, causes, f"Service {path}"
        )


def services_of(cluster: Cluster, objects: Objects) -> Share:
    """Return how many of the load balancer's addresses Services have."""
    ranges = cluster.load_balancer_ranges
    used = {
        address
        for address in _addresses(_balanced(objects.services))
        if address.version == 4 and any(int(address) in span for span in ranges)
    }
    return Share(count=len(used), total=sum(map(len, ranges)))


def _balanced(services: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [service for service in services if service.get("spec", {}).get("type") == "LoadBalancer"]


def _addresses(services: Iterable[Mapping[str, Any]]) -> set[IPv4Address | IPv6Address]:
    return {
        ip_address(ingress["ip"])
        for service in services
        for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        if "ip" in ingress
    }


def _node_of(pod: Mapping[str, Any]) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")


def cluster_status(
    of: StandingCluster, troubles: Sequence[Trouble], last_snapshot: datetime | None, arc: ArcStatus | None
) -> ClusterStatus:
    """Return how a cluster is.

    Args:
        of: The cluster.
        troubles: What is the matter with it.
        last_snapshot: When the newest one was taken that a host keeps.
        arc: How it is connected; None where it isn't to be.
    """
    objects, etcd = of.seen.objects, of.seen.etcd
    answer = None if isinstance(objects, Unseen) else objects
    return ClusterStatus(
        name=of.name,
        state=_health(trouble.level for trouble in troubles),
        endpoint=f"https://{of.cluster.endpoint}:{API_PORT}",
        planned_version=of.cluster.final_version,
        version=answer.version if answer else None,
        nodes=Share(count=sum(of.ready.values()), total=len(of.cluster.machines)) if answer else None,
        pods=_pod_share(answer) if answer else None,
        etcd=etcd_status(etcd) if etcd is not None and not isinstance(etcd, Unseen) else None,
        services=services_of(of.cluster, answer) if answer else None,
        last_snapshot=last_snapshot,
        arc=arc,
    )


def _health(levels: Iterable[Level]) -> Health:
    seen = set(levels)
    return "wrong" if "wrong" in seen else "unknown" if "unknown" in seen else "ok"


def _pod_share(objects: Objects) -> Share:
    pods = [pod for pod in objects.pods if (pod.get("status") or {}).get("phase") != "Succeeded"]
    return Share(count=sum(not pod_problem(pod) for pod in pods), total=len(pods))


def planned_status(cluster: Cluster, arc: ArcStatus | None) -> ClusterStatus:
    """Return how a cluster is of which nothing was made yet."""
    return ClusterStatus(
        name=cluster.name,
        state="wrong",
        endpoint=f"https://{cluster.endpoint}:{API_PORT}",
        planned_version=cluster.final_version,
        arc=arc,
    )
