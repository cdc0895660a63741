"""What a cluster tells: its objects, each API server by itself, etcd, certificates."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

import yaml

from infra.arc.agents import NAMESPACE
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.certificates import at_server, authority_of, ends_of, written_end
from infra.kubernetes.etcd import Membership
from infra.kubernetes.watch import look, silent_servers
from infra.stack.clusters import StackCluster
from infra.status.seen import Objects

_SERVER_SECONDS: Final = 2.0


def objects_of(cluster: StackCluster, seconds: float) -> Objects:
    """Ask a cluster at its address.

    Raises:
        ClusterError: Its API server doesn't answer, or refuses.
    """
    api = ClusterApi(cluster.placement.kubeconfig, seconds)
    version = str(api.get("/version")["gitVersion"]).removeprefix("v")
    return Objects(
        version,
        look(api, {*cluster.placement.namespaces, NAMESPACE}),
        api.items("/api/v1/pods"),
        api.items("/api/v1/services"),
    )


def silent_of(cluster: StackCluster) -> tuple[str, ...]:
    """Return the control planes whose own API server isn't ready."""
    kubeconfig = cluster.placement.kubeconfig
    servers = {
        name: ClusterApi(at_server(kubeconfig, address), _SERVER_SECONDS)
        for name, address in _planes(cluster).items()
    }
    return tuple(silent_servers(servers))


def etcd_of(cluster: StackCluster) -> Membership | None:
    """Return the members of its etcd; None where not one answers."""
    return cluster.etcd(_planes(cluster)).membership()


def ends_of_servers(cluster: StackCluster) -> Mapping[str, datetime]:
    """Return when the certificate of each API server ends, of those that answer."""
    return ends_of(_planes(cluster), authority_of(cluster.placement.kubeconfig))


def end_of_administrator(kubeconfig: str) -> datetime | None:
    """Return when the client's certificate in a kubeconfig ends; None where it has none of the cluster's. Pure."""
    (user, *_) = yaml.safe_load(kubeconfig)["users"]
    data = user["user"].get("client-certificate-data")
    return written_end(b64decode(data).decode(), authority_of(kubeconfig)) if data else None


def _planes(cluster: StackCluster) -> dict[str, str]:
    """Return the addresses of the control planes that were made, by name."""
    made: Collection[str] = [name for name, machine in cluster.planes.items() if not machine.lost]
    return {name: cluster.addresses[name] for name in made}
