"""What connecting a cluster means, given what stands on it and in Azure already (facts §1.13). Pure.

| Release | As which resource its agents speak | In Azure | Decision |
|---|---|---|---|
| stands | unknown | wanted one has the cluster's key | resume: an installation was interrupted |
| stands | unknown | anything else | refused: half removed |
| stands | the wanted one | exists | adopt; refused where expired, provisioned, or with another key |
| stands | another | exists | refused: connected elsewhere, which is named |
| stands | another | can't be seen | refused: the same |
| stands | any | doesn't exist | clean, then onboard: stale agents |
| none | - | wanted one: AgentNotInstalled | onboard |
| none | - | wanted one has the cluster's key | resume |
| none | - | wanted one exists otherwise | refused: another cluster's |
| none | - | nothing | onboard; leftovers are removed before |
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from infra.arc.agents import ClusterIdentity
from infra.arc.errors import Conflict
from infra.kubernetes.helm import Release

Action = Literal["onboard", "resume", "adopt"]

NOT_INSTALLED: Final = "AgentNotInstalled"
EXPIRED: Final = "Expired"
PROVISIONED: Final = "ProvisionedCluster"


@dataclass(frozen=True)
class Existing:
    """A connected cluster in Azure.

    Attributes:
        status: Its connectivityStatus.
        public_key: Of its agents.
        kind: Of what made it, empty for clusters that people connect.
    """

    status: str
    public_key: str
    kind: str = ""

    @classmethod
    def of(cls, body: Mapping[str, Any] | None) -> Existing | None:
        """Return what of ARM's answer matters here."""
        if body is None:
            return None
        properties = body.get("properties") or {}
        return cls(
            str(properties.get("connectivityStatus") or ""),
            str(properties.get("agentPublicKeyCertificate") or ""),
            str(body.get("kind") or ""),
        )


@dataclass(frozen=True)
class Standing:
    """What stands.

    Attributes:
        release: The agents' Helm release.
        identity: As which resource they speak.
        key: The public half of the key in the cluster.
        has_certificate: Whether they have got an identity from Azure.
        wanted: The resource that the cluster is to be connected as, where it exists.
        named: The one that `identity` names, where it exists.
        hidden: Why it can't be told whether that exists; empty where it can.
        leftovers: Arc's custom resource definitions on the cluster.
    """

    release: Release | None = None
    identity: ClusterIdentity | None = None
    key: str | None = None
    has_certificate: bool = False
    wanted: Existing | None = None
    named: Existing | None = None
    hidden: str = ""
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What to do.

    Attributes:
        action: onboard: from the start; resume: with the key that stands in the cluster; adopt: with the key that
            ARM has.
        clean: Whether what stale agents left is removed before, and their release.
        why: For the status line.
    """

    action: Action
    why: str
    clean: bool = False


def decide(standing: Standing, target: ClusterIdentity) -> Decision:
    """Decide.

    Raises:
        Conflict: Something is in the way that isn't ours to remove; names it and the remedy.
    """
    if standing.wanted is not None and standing.wanted.kind == PROVISIONED:
        raise Conflict(
            "provisioned-cluster",
            f"{target} is an AKS cluster that Azure itself provisioned",
            "choose another name: Azure connects that one by itself",
        )
    if standing.release is None:
        return _without_release(standing, target)
    if standing.identity is None:
        return _half_removed(standing, standing.release, target)
    if standing.hidden:
        raise Conflict(
            "connected-elsewhere",
            f"the cluster's agents speak as {standing.identity}, and whether that exists can't be told: "
            f"{standing.hidden}",
            "disconnect it there, or use a credential that sees it",
        )
    if standing.named is None:
        return Decision("onboard", f"its agents are stale: {standing.identity} no longer exists", clean=True)
    if standing.identity.key != target.key:
        raise Conflict(
            "connected-elsewhere",
            f"the cluster is connected already, as {standing.identity}",
            "disconnect it there, or use that name",
        )
    return _adopted(standing, standing.named, target)


def require_direct(server: str, id: str) -> None:
    """Refuse a kubeconfig that leads to the cluster through Azure: the way would go with the connection.

    Args:
        server: The API server's URL.
        id: The connected cluster's ARM id.

    Raises:
        Conflict: It is one; its path is the hash of the id (facts §1.12).
    """
    if urlsplit(server).path.strip("/") == hashlib.sha256(id.lower().encode()).hexdigest():
        raise Conflict(
            "cluster-connect",
            f"{server} leads to the cluster through Azure Arc itself",
            "use a kubeconfig that leads to the API server directly",
        )


def _adopted(standing: Standing, named: Existing, target: ClusterIdentity) -> Decision:
    if named.status == EXPIRED:
        raise _expired(target)
    if standing.key and named.public_key and standing.key != named.public_key and not standing.has_certificate:
        raise Conflict(
            "key-mismatch",
            f"the agents' key isn't the one that Azure has of {target}: it will never give them an identity",
            "disconnect the cluster and connect it again",
        )
    return Decision("adopt", f"it is connected as {target} already")


def _half_removed(standing: Standing, release: Release, target: ClusterIdentity) -> Decision:
    if _has_key(standing):
        return Decision("resume", "an installation of its agents was interrupted")
    raise Conflict(
        "agents-half-removed",
        f"the agents' release {release.namespace}/{release.name} stands ({release.status}), but ConfigMap "
        f"azure-arc/azure-clusterconfig, which says whose they are, doesn't",
        f"helm uninstall {release.name} --namespace {release.namespace} --no-hooks, and run again for {target}",
    )


def _without_release(standing: Standing, target: ClusterIdentity) -> Decision:
    has_leftovers = bool(standing.leftovers)
    if standing.wanted is None:
        if standing.key:
            return Decision("resume", "its key was made by a run that was interrupted", clean=has_leftovers)
        return Decision("onboard", "it isn't connected", clean=has_leftovers)
    if _has_key(standing):
        if standing.wanted.status == EXPIRED:
            raise _expired(target)
        return Decision("resume", "connecting it was interrupted", clean=has_leftovers)
    if standing.wanted.status == NOT_INSTALLED:
        return Decision("onboard", f"{target} waits for agents", clean=has_leftovers)
    raise Conflict(
        "resource-exists",
        f"{target} exists and belongs to another cluster: this one has no agents, and Azure says of that one "
        f"{standing.wanted.status or 'nothing'}",
        "choose another name, or delete that resource if its cluster is gone",
    )


def _expired(target: ClusterIdentity) -> Conflict:
    return Conflict(
        "identity-expired",
        f"the agents' certificate of {target} has expired: they had no contact for more than 90 days",
        "disconnect the cluster and connect it again (pulumi up --replace URN)",
    )


def _has_key(standing: Standing) -> bool:
    return bool(standing.key and standing.wanted and standing.key == standing.wanted.public_key)
