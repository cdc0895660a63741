"""What hosts and control planes tell of an instance whose state was lost: its kinds take over what stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.kubernetes.pki import ClusterPki
from infra.model.node import PodSecurity


@dataclass(frozen=True)
class StandingCluster:
    """A cluster that runs.

    Attributes:
        pki: its authorities, keys, and a new token.
        pod_security: the level it was founded with; None where it has none.
    """

    pki: ClusterPki
    pod_security: PodSecurity | None


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
