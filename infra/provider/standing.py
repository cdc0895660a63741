"""What hosts and control planes tell of an instance whose state was lost: its kinds take over what stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.guest.api_server import PodSecurity
from infra.kubernetes.pki import ClusterPki


@dataclass(frozen=True)
class StandingCluster:
    """A cluster that runs.

    Attributes:
        pki: its authorities, keys, and a new token.
        pod_security: the level it was founded with; None where it has none.
        unicast_vrrp: its control planes hold the address by VRRP among themselves; None where by multicast.
    """

    pki: ClusterPki
    pod_security: PodSecurity | None
    unicast_vrrp: bool | None


@dataclass(frozen=True)
class Standing:
    """An instance that stands without a state.

    Attributes:
        owner: the id that its hosts know the new state by.
        clusters: by their ClusterIdentity's id; those whose keys the new state has already aren't among them.
        with_nodes: the ids of all clusters that nodes stand of.
    """

    owner: str
    clusters: Mapping[str, StandingCluster]
    with_nodes: frozenset[str] = frozenset()
