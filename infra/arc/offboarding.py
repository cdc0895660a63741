"""Take a connection away on both sides, in the order in which each part can still do its own (facts §2).

| | Azure answers | Azure doesn't |
|---|---|---|
| the cluster answers | everything goes | refused; with `force` the cluster's side goes, ARM's resource stays |
| the cluster doesn't | ARM's side goes, the cluster's stays | refused, with `force` too: nothing could be done |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from infra.arc.agents import NAMESPACE, RELEASE, RELEASE_NAMESPACE, Agents, ClusterIdentity
from infra.arc.azure import Azure
from infra.arc.cleanup import remove_definitions, remove_namespaces
from infra.arc.conflicts import PROVISIONED, require_direct
from infra.arc.errors import ArcError, AzureUnreachable, Conflict, CredentialError
from infra.arc.model import AzureScope
from infra.kubernetes.api import ApiError, ClusterError
from infra.model.work import Work

_CHILD_SECONDS: Final = 600.0
_CLUSTER_SECONDS: Final = 900.0
_DEPENDENT: Final = "microsoft.flux"  # Flux configurations need it, so it goes last
_BY_HAND: Final = (
    f"helm uninstall {RELEASE} --namespace {RELEASE_NAMESPACE} --no-hooks; kubectl delete namespace {NAMESPACE} "
    f"{RELEASE_NAMESPACE}"
)


def disconnect(
    azure: Azure, scope: AzureScope, name: str, kubeconfig: str | None, *, force: bool, work: Work
) -> tuple[str, ...]:
    """Disconnect a cluster; see `infra.arc.onboarding.disconnect`."""
    identity = ClusterIdentity(scope.subscription_id, scope.resource_group, name)
    agents = Agents(kubeconfig) if kubeconfig is not None else None
    if agents is not None:
        require_direct(agents.api.server, scope.cluster_id(name))
    left: list[str] = []
    is_there = agents is not None and _answers(agents, identity, left, force=force)
    if agents is not None and is_there:
        _require_own(agents, identity, force=force)
    try:
        _azure_side(azure, name, identity, lives=is_there, force=force, left=left, work=work)
    except (AzureUnreachable, CredentialError) as error:
        if not (force and is_there):
            raise _refused(error, identity, is_there=is_there) from error
        left.append(
            f"{identity} stays in Azure, which doesn't answer ({error.message}); delete it there: "
            f"az connectedk8s delete --name {name} --resource-group {scope.resource_group} --force"
        )
    if agents is None:
        return ()  # nothing is left of a cluster that is gone
    if is_there:
        left += cluster_side(agents, azure.environment.suffix, force=force, work=work)
    return tuple(left)


def _answers(agents: Agents, identity: ClusterIdentity, left: list[str], *, force: bool) -> bool:
    """Return whether the cluster answers; where it doesn't, note what stays there.

    One that lets us in no more is as good as one that doesn't answer only where `force` says so: mostly, the
    kubeconfig is the wrong one.
    """
    try:
        agents.api.get("/api/v1/namespaces/kube-system")
    except ClusterError as error:
        if isinstance(error, ApiError) and not force:
            raise
        left.append(
            f"the cluster doesn't answer or let us in ({error}); if it comes back, its agents of {identity} still "
            f"run, without a resource in Azure: {_BY_HAND}"
        )
        return False
    return True


def _require_own(agents: Agents, identity: ClusterIdentity, *, force: bool) -> None:
    """Refuse to remove agents that speak as somebody else; `force` is for agents whose owner nothing tells."""
    owner = agents.identity()
    if owner is not None and owner.key != identity.key:
        raise Conflict(
            "connected-elsewhere",
            f"the cluster's agents speak as {owner}, not as {identity}: nothing was removed",
            "check whose kubeconfig that is",
        )
    if owner is None and not force and agents.release(Work()) is not None and agents.key_pair() is None:
        raise Conflict(
            "agents-half-removed",
            f"ConfigMap {NAMESPACE}/azure-clusterconfig, which says whose the agents are, isn't there",
            f"use force if they are {identity}'s, or remove them: {_BY_HAND}",
        )


def _azure_side(
    azure: Azure,
    name: str,
    identity: ClusterIdentity,
    *,
    lives: bool,
    force: bool,
    left: list[str],
    work: Work,
) -> None:
    """Delete what stands on the cluster's resource, then the resource."""
    body = azure.get_cluster(name)
    if body is None:
        return
    if body.get("kind") == PROVISIONED:
        raise Conflict("provisioned-cluster", f"{identity} was provisioned by Azure itself, which also deletes it")
    status = (body.get("properties") or {}).get("connectivityStatus")
    # Only agents that Azure hears of can take an extension off the cluster.
    by_agents = lives and status == "Connected"
    delete_children(azure, name, by_agents=by_agents, force=force, left=left, work=work)
    azure.delete_cluster(name, force=force, work=work.within(_CLUSTER_SECONDS))


def delete_children(
    azure: Azure, cluster: str, *, by_agents: bool, force: bool, left: list[str], work: Work
) -> None:
    """Delete Flux configurations, extensions and custom locations of a cluster.

    Args:
        azure: Where it is connected.
        cluster: Its name.
        by_agents: Whether agents take them off the cluster; else only Azure forgets them.
        force: Whether Azure is to forget one that agents don't take off.
        left: What stays on the cluster is added here.
        work: Of all of them.
    """
    for configuration in azure.list_flux_configurations(cluster):
        name = str(configuration["name"])

        def delete_flux(forced: bool, name: str = name) -> None:
            azure.delete_flux_configuration(cluster, name, force=forced, work=work.within(_CHILD_SECONDS))

        _delete_child(f"Flux configuration {name}", delete_flux, by_agents=by_agents, force=force, left=left)
    for location in azure.list_custom_locations(cluster):
        azure.delete_custom_location(str(location["name"]), work=work.within(_CHILD_SECONDS))
    for extension in sorted(azure.list_extensions(cluster), key=_goes_last):
        name = str(extension["name"])

        def delete_extension(forced: bool, name: str = name) -> None:
            azure.delete_extension(cluster, name, force=forced, work=work.within(_CHILD_SECONDS))

        _delete_child(f"extension {name}", delete_extension, by_agents=by_agents, force=force, left=left)


def _goes_last(extension: Mapping[str, Any]) -> bool:
    return str(extension["properties"].get("extensionType")).lower() == _DEPENDENT


def _delete_child(
    what: str, delete: Callable[[bool], None], *, by_agents: bool, force: bool, left: list[str]
) -> None:
    try:
        delete(not by_agents)
    except (AzureUnreachable, CredentialError):
        raise
    except ArcError as error:
        if not (by_agents and force):
            raise
        delete(True)
        left.append(
            f"{what}: its workloads stay on the cluster, since its agents didn't remove them: {error.message}"
        )
        return
    if not by_agents:
        left.append(f"{what}: its workloads stay on the cluster, since no agents were there to remove them")


def cluster_side(agents: Agents, suffix: str, *, force: bool, work: Work) -> list[str]:
    """Remove the agents; return what stays, with the reason."""
    release = agents.release(work)
    if release is not None:
        agents.settle(release, work)
        try:
            agents.uninstall(release, hooks=not force, work=work)
        except ArcError:
            if force:
                raise
            # Hooks need agents that work, and these have just lost their resource.
            agents.uninstall(release, hooks=False, work=work)
    remove_definitions(agents.api, suffix, work)
    return remove_namespaces(agents.api, work)


def _refused(error: ArcError, identity: ClusterIdentity, *, is_there: bool) -> ArcError:
    remedy = (
        f"once Azure answers, run again; with force the agents are removed now, and {identity} stays in Azure"
        if is_there
        else "run again once Azure answers: the cluster doesn't answer either, so nothing could be removed"
    )
    text = f"{identity} can't be disconnected: {error.message}"
    if isinstance(error, CredentialError):
        return CredentialError(error.rule, text, f"{error.remedy}; or {remedy}", error.code)
    return AzureUnreachable(error.rule, text, remedy)
