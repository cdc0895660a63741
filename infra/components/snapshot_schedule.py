"""The timers by which hosts take snapshots of a cluster's etcd."""

from __future__ import annotations

from collections.abc import Iterable

import pulumi

from infra.components.node import Site
from infra.declarations import address_of, etcd_keys
from infra.plan.topology import Cluster, Machine
from infra.resources.declared import ClusterIdentity, SnapshotSchedule
from infra.spec.stack import SnapshotSchedule as Schedule

_MOST_HOSTS = 2
"""So that the loss of either host costs no snapshot of the other's."""


def declare_schedules(
    cluster: Cluster,
    schedule: Schedule,
    machines: Iterable[Machine],
    site: Site,
    identity: ClusterIdentity,
    name: str,
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare a timer on each host that takes them: those from which control planes are reached, two at most."""
    planes = [machine for machine in machines if machine.role == "controlPlane"]
    hosts = list(dict.fromkeys(machine.reached_through for machine in planes))[:_MOST_HOSTS]
    for host in hosts:
        SnapshotSchedule(
            f"{name}-snapshots-{host}",
            {
                "instance": site.instance,
                "connection": site.hosts[host].host.connection,
                "cluster": cluster.name,
                "members": [address_of(machine) for machine in planes],
                "every_hours": schedule.every_hours,
                "keep": schedule.keep,
                "ca_hash": identity.ca_hash,
                "etcd_keys": identity.keys.apply(etcd_keys),
            },
            opts,
        )
