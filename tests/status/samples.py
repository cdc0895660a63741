"""An instance on three hosts with a connected cluster, as it looks when everything is as planned."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from infra.arc.observation import read
from infra.hosts.facts.libvirt import Domain, Running
from infra.kubernetes.etcd import EtcdMember, Membership
from infra.kubernetes.health import Snapshot
from infra.kvm.ownership import Mark
from infra.model.backup import BY_WISH, Backup
from infra.plan.instance import Plan, plan_instance
from infra.plan.topology import Topology, build_topology
from infra.status.judge import judge
from infra.status.model import Reason, Status
from infra.status.seen import (
    Objects,
    Observations,
    SeenCluster,
    SeenHost,
    StackState,
    StateHost,
    StateMachine,
)
from tests.instances import cluster, host, make_spec, network

NOW: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)
VERSION: Final = "1.33.5"
PLANES: Final = ("lab-a-cp-0", "lab-a-cp-1", "lab-a-cp-2")
WORKERS: Final = ("lab-a-nodepool1-0", "lab-a-nodepool1-1")
RB: Final = "lab-rb-0"


def planned(**more: Any) -> tuple[Plan, Topology]:
    """Return the plan of three hosts with room, and of a cluster of three control planes and two workers."""
    spec = make_spec(
        cluster(planes=3, workers=2, loadBalancer={"count": 2}, snapshots={"everyHours": 6}, **more),
        hosts=[host(number, cpus=16, memoryGiB=64, diskGiB=500) for number in (1, 2, 3)],
        networks=[network(end="10.220.32.60")],
        stack={"arc": {"subscriptionId": "00000000-0000-0000-0000-000000000000", "resourceGroup": "lab"}},
    )
    plan = plan_instance(spec)
    return plan, build_topology(spec, plan)


PLAN, TOPOLOGY = planned()
HOST_OF: Final = {machine.name: machine.host for machine in TOPOLOGY.machines}


def state() -> StackState:
    """Return a state that has everything planned."""
    connections = {each.name: each.connection for each in TOPOLOGY.hosts}
    networks = {
        name: frozenset(each.libvirt_name for each in TOPOLOGY.networks if each.host == name)
        for name in connections
    }
    return StackState(
        {
            machine.name: StateMachine(
                connections[machine.host],
                machine.image if machine.cluster else "",
                str(machine.address),
                machine.role,
                machine.cluster or "",
                NOW.timestamp() - 3600,
            )
            for machine in TOPOLOGY.machines
        },
        {
            connection: StateHost(name, f"boot-{name}", "vm", networks[name])
            for name, connection in connections.items()
        },
    )


def seen_host(name: str, **more: Any) -> SeenHost:
    """Return a host that runs what is planned there."""
    mark = Mark("lab", "lab", "")
    domains = {
        machine: Domain(mark.uuid("domain", machine), "running") for machine, on in HOST_OF.items() if on == name
    }
    networks = {each.libvirt_name: True for each in TOPOLOGY.networks if each.host == name}
    return replace(
        SeenHost(
            Running(domains, networks),
            f"boot-{name}",
            65536,
            50000,
            500_000,
            400_000,
            (backup(NOW - timedelta(hours=3)),),
        ),
        **more,
    )


def with_domain(name: str, domain: Domain | None) -> SeenHost:
    """Return a machine's host, on which the machine is another domain, or none."""
    there = seen_host(HOST_OF[name])
    assert isinstance(there.running, Running)
    others = {other: each for other, each in there.running.domains.items() if other != name}
    return replace(
        there, running=Running({**others, **({name: domain} if domain else {})}, there.running.networks)
    )


def off(name: str) -> SeenHost:
    """Return a machine's host, on which it is off."""
    return with_domain(name, Domain(Mark("lab", "lab", "").uuid("domain", name), "shut off"))


def backup(taken: datetime) -> Backup:
    return Backup(
        instance="lab",
        cluster="a",
        taken=taken,
        kubernetes_version=VERSION,
        revision=7,
        sha256="",
        size=1,
        ca_hash="",
        reason=BY_WISH,
    )


def node(name: str, ready: str = "True", **spec: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready}
    if ready != "True":
        condition |= {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [condition]}}


def lease(name: str, at: datetime = NOW) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"renewTime": at.isoformat()}}


def pod(
    name: str, node: str, *, namespace: str = "kube-system", ready: bool = True, **more: Any
) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    if not node:
        conditions.append({"type": "PodScheduled", "status": "False", "message": "0/5 nodes are available"})
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"{namespace}/{name}",
            "labels": {"app": name.partition("-")[0]},
        },
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": "Running" if ready else "Pending", "conditions": conditions, **more},
    }


def deployment(app: str, available: int, namespace: str = "kube-system") -> dict[str, Any]:
    is_available = {"type": "Available", "status": "True" if available else "False"}
    return {
        "kind": "Deployment",
        "metadata": {"name": app, "namespace": namespace, "uid": app},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": app}}},
        "status": {
            "replicas": 1,
            "updatedReplicas": 1,
            "availableReplicas": available,
            "conditions": [is_available],
        },
    }


def service(name: str, address: str = "") -> dict[str, Any]:
    ingress = [{"ip": address}] if address else []
    return {
        "metadata": {"name": name, "namespace": "web"},
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def objects(**more: Any) -> Objects:
    """Return what a healthy cluster's API server says, but for what is named: snapshot's parts, pods, services."""
    own = [pod("coredns-1", WORKERS[0])]
    snapshot = Snapshot(
        nodes=more.pop("nodes", [node(name) for name in (*PLANES, *WORKERS)]),
        workloads=more.pop("workloads", [deployment("coredns", 1)]),
        pods=more.pop("own_pods", own),
        leases=more.pop("leases", [lease(name) for name in (*PLANES, *WORKERS)]),
    )
    return Objects(
        more.pop("version", VERSION),
        snapshot,
        [*snapshot.pods, *more.pop("pods", ())],
        more.pop("services", ()),
    )


def etcd(*unhealthy: str, agreed: bool = True, leader: int = 1) -> Membership:
    members = tuple(EtcdMember(number, name, "", learner=False, url="") for number, name in enumerate(PLANES, 1))
    healthy = frozenset(member.id for member in members if member.name not in unhealthy)
    return Membership(members, agreed, healthy if leader else frozenset(), leader)


def seen_cluster(**more: Any) -> SeenCluster:
    """Return a healthy cluster, but for what is named."""
    year = NOW + timedelta(days=365)
    return replace(SeenCluster(objects(), (), etcd(), dict.fromkeys(PLANES, year), year), **more)


def connection(status: str = "Connected", expires: timedelta = timedelta(days=80), *warnings: str) -> Any:
    body = {
        "id": "/x",
        "properties": {
            "connectivityStatus": status,
            "agentVersion": "1.36.1",
            "managedIdentityCertificateExpirationTime": (NOW + expires).isoformat(),
            "lastConnectivityTime": NOW.isoformat(),
        },
    }
    return replace(read(body), warnings=warnings)


def observations(**more: Any) -> Observations:
    """Return a healthy instance's, but for what is named; `hosts` is laid over the healthy ones."""
    hosts = {each.name: seen_host(each.name) for each in TOPOLOGY.hosts}
    return replace(
        Observations(
            NOW,
            0.8,
            state(),
            None,
            {**hosts, **more.pop("hosts", {})},
            {"a": seen_cluster()},
            {"a": connection()},
            NOW,
        ),
        **more,
    )


def status(**more: Any) -> Status:
    """Return how an instance is that is healthy but for what is named."""
    return judge("lab", TOPOLOGY, PLAN.addresses, observations(**more))


def tree(reasons: tuple[Reason, ...]) -> list[Any]:
    """Return reasons as their texts, each with what follows from it: [text, [consequences]]."""
    return [
        [f"{each.subject}: {each.text}", *([tree(each.consequences)] if each.consequences else [])]
        for each in reasons
    ]
