"""Whether a cluster is connected, by what its agents let Azure know and by the clock (arc_facts.md §3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from infra.emulator.clock import Clock, parse, text
from infra.emulator.store import Resource, Store

CLUSTERS: Final = "Microsoft.Kubernetes/connectedClusters"
OFFLINE_AFTER: Final = timedelta(minutes=15)
CERTIFICATE_LIFE: Final = timedelta(days=90)
RENEWAL_AFTER: Final = timedelta(days=45)  # agents try from day 46 on

CONNECTING: Final = "Connecting"
CONNECTED: Final = "Connected"
OFFLINE: Final = "Offline"
EXPIRED: Final = "Expired"
AGENT_NOT_INSTALLED: Final = "AgentNotInstalled"


def find_cluster(store: Store, cluster_id: str) -> Resource | None:
    """Return a connected cluster by its ARM id; one that is being deleted counts as gone."""
    cluster = store.get(cluster_id)
    if cluster is None or cluster.type != CLUSTERS or "deleting" in cluster.hidden:
        return None
    return cluster


def status_of(cluster: Resource, now: datetime) -> str:
    """Return a cluster's `connectivityStatus`.

    Expired comes before all else: its agents have no identity any more, whatever they send.
    """
    properties = cluster.properties
    if not properties.get("agentPublicKeyCertificate") and cluster.body.get("kind") != "ProvisionedCluster":
        return AGENT_NOT_INSTALLED
    expires = properties.get("managedIdentityCertificateExpirationTime")
    if expires is not None and parse(expires) <= now:
        return EXPIRED
    last = properties.get("lastConnectivityTime")
    if last is None:
        return CONNECTING
    return OFFLINE if now - parse(last) >= OFFLINE_AFTER else CONNECTED


def record_heartbeat(store: Store, clock: Clock, cluster: Resource, facts: Mapping[str, Any]) -> Resource:
    """Note that a cluster's agents were heard.

    Args:
        cluster: as `find_cluster` returned it in this transaction.
        facts: read-only properties of the cluster, by their ARM names: `agentVersion`, `kubernetesVersion`,
            `totalNodeCount`, `totalCoreCount`, `offering`; None takes one away.
    """
    return store.put(cluster.with_properties(lastConnectivityTime=text(clock.now()), **facts))


def record_certificate(store: Store, cluster: Resource, expires: datetime) -> Resource:
    """Note until when the certificate lasts that the agents were given."""
    return store.put(cluster.with_properties(managedIdentityCertificateExpirationTime=text(expires)))
