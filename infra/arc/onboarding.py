"""Connect a cluster to Arc, see how the connection is, change it. Everything may be run again at any point.

What changing an input means (`replaced`, `update`); the rules are Azure's (facts §1.10, §1.11, §8.7):

| Input | What happens |
|---|---|
| cloud, subscription, resource group, name, location, infrastructure | replaced: ARM can't change them |
| the OIDC issuer switched off | replaced: Azure can't switch it off |
| another cluster | replaced; whether a kubeconfig is another cluster's, is the caller's to tell |
| tags, distribution, azureHybridBenefit | PATCH |
| private link scope, gateway, autoUpgrade, OIDC issuer, workload identity | PUT with the same key, then Helm |
| proxy, cluster connect, custom locations, Azure RBAC, log path, agent version, release train | Helm |
"""

from __future__ import annotations

from typing import Unpack

from infra.arc.azure import Azure
from infra.arc.model import (
    AzureRbac,
    AzureScope,
    Connected,
    CustomLocations,
    Features,
    OidcIssuer,
    Onboarding,
    Problem,
    Proxy,
)
from infra.arc.patience import Bounds
from infra.kubernetes.api import ClusterApi

__all__ = [
    "AzureRbac",
    "AzureScope",
    "Connected",
    "CustomLocations",
    "Features",
    "OidcIssuer",
    "Onboarding",
    "Problem",
    "Proxy",
    "connect",
    "disconnect",
    "observe",
    "precheck",
    "replaced",
    "update",
]


def precheck(azure: Azure, wanted: Onboarding, cluster_api: ClusterApi | None) -> list[Problem]:
    """Return all that keeps the cluster from being connected, before anything is made.

    Registers resource providers where `wanted.register_providers` allows it, and changes nothing else.

    Args:
        azure: Where it is to be connected.
        wanted: How.
        cluster_api: The cluster; None where there is none yet (a preview): only Azure is asked.
    """
    raise NotImplementedError


def connect(azure: Azure, wanted: Onboarding, **bounds: Unpack[Bounds]) -> Connected:
    """Connect a cluster, or go on where an interrupted run left off, or adopt a connection that stands.

    Returns when all agents are available and ARM says Connected.

    Args:
        azure: Where.
        wanted: How.
        bounds: Each step has its own limit within them.

    Raises:
        Unready: A precheck failed; nothing was made.
        Conflict: Something else is in the way, which is named.
        NotInTime: A step took too long; says which, what is missing, and why.
        ArcError: Azure refuses.
        ClusterUnreachable, ClusterError: The cluster doesn't answer, or refuses.
        Interrupted: It was cancelled.
    """
    raise NotImplementedError


def observe(azure: Azure, scope: AzureScope, name: str, cluster_api: ClusterApi | None) -> Connected | None:
    """Return how a connection is; None where ARM has no such resource.

    A cluster that doesn't answer isn't an error here: Azure's side is told, and a warning says so.

    Raises:
        ArcError: Azure refuses.
        AzureUnreachable: It doesn't answer.
    """
    raise NotImplementedError


def replaced(old: Onboarding, new: Onboarding) -> list[str]:
    """Return the inputs whose change can't be made in place, by the names of `Onboarding`'s fields."""
    raise NotImplementedError


def update(azure: Azure, old: Onboarding, wanted: Onboarding, **bounds: Unpack[Bounds]) -> Connected:
    """Make of a connection what is wanted now; safe to repeat after an interruption.

    Raises:
        As `connect`.
    """
    raise NotImplementedError


def disconnect(
    azure: Azure,
    scope: AzureScope,
    name: str,
    kubeconfig: str | None,
    *,
    force: bool = False,
    **bounds: Unpack[Bounds],
) -> tuple[str, ...]:
    """Take a connection away on both sides, so that the cluster can be connected again under the same name.

    Flux configurations and extensions that are left go first (in their agents' hands, while these are alive), then
    the ARM resource, then the agents' release, custom resources and namespaces.

    Args:
        azure: Where it is connected.
        scope: Its resource group.
        name: Its name.
        kubeconfig: Of the cluster; None: the cluster is gone for good, Azure's side is all there is.
        force: Go on where a side doesn't answer or agents don't do their part.

    Returns:
        What was left behind, one text each, with how to remove it. Empty when all is gone.

    Raises:
        Conflict: The cluster is connected as another resource, which is named.
        AzureUnreachable: Azure doesn't answer, and `force` isn't set.
        ArcError: Azure refuses.
        Interrupted: It was cancelled.
    """
    raise NotImplementedError
