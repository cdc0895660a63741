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

from dataclasses import replace

from infra.arc import diagnosis, observation, offboarding, prechecks
from infra.arc.agents import Agents, ClusterIdentity
from infra.arc.azure import Azure
from infra.arc.bodies import cluster_body, is_within, patch_body
from infra.arc.cleanup import await_terminating, leftover_definitions, remove_definitions, remove_namespaces
from infra.arc.conflicts import Decision, Existing, Standing, decide, require_direct
from infra.arc.errors import ArcError, ArmError, Conflict, Unready
from infra.arc.installation import install_agents, wait_until_connected
from infra.arc.keys import make_key_pair
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
from infra.arc.transport import applied
from infra.kubernetes.api import ClusterApi
from infra.model.azure_regions import short_location
from infra.model.work import Work

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

_PUT_SECONDS = 600.0
_PRECHECK_SECONDS = 900.0  # registering a resource provider may take ten minutes


def precheck(azure: Azure, wanted: Onboarding, cluster_api: ClusterApi | None) -> list[Problem]:
    """Return all that keeps the cluster from being connected, before anything is made.

    Registers resource providers where `wanted.register_providers` allows it, and changes nothing else.

    Args:
        azure: Where it is to be connected.
        wanted: How.
        cluster_api: The cluster; None where there is none yet (a preview): only Azure is asked.
    """
    return prechecks.find_problems(azure, wanted, cluster_api, Work().within(_PRECHECK_SECONDS))


def connect(azure: Azure, wanted: Onboarding, work: Work) -> Connected:
    """Connect a cluster, or go on where an interrupted run left off, or adopt a connection that stands.

    Returns when all agents are available and ARM says Connected.

    Args:
        azure: Where.
        wanted: How.
        work: Each step has its own limit within it.

    Raises:
        Unready: A precheck failed; nothing was made.
        Conflict: Something else is in the way, which is named.
        NotInTime: A step took too long; says which, what is missing, and why.
        ArcError: Azure refuses.
        ClusterError: The cluster doesn't answer, or refuses.
        Interrupted: It was cancelled.
    """
    with applied(work):
        return _connected(azure, wanted, Agents(wanted.kubeconfig), work)


def _connected(azure: Azure, wanted: Onboarding, agents: Agents, work: Work) -> Connected:
    require_direct(agents.api.server, wanted.id)
    _require_ready(azure, wanted, agents.api, work)
    suffix = wanted.environment.suffix
    await_terminating(agents.api, suffix, work)
    standing = look_around(azure, wanted, agents, work)
    decision = decide(standing, target_of(wanted))
    work.status(decision.why)
    if decision.action != "adopt":
        _require_reachable(wanted, agents.api, work)
    if decision.clean:
        _clean(agents, suffix, work)
    azure.ensure_resource_group(wanted.location, {})
    body = _put_linked(azure, wanted, None, _public_key(agents, decision, standing), work)
    install_agents(azure, wanted, agents, body, work)
    return wait_until_connected(azure, wanted, agents, work)


def observe(azure: Azure, scope: AzureScope, name: str, cluster_api: ClusterApi | None) -> Connected | None:
    """Return how a connection is; None where ARM has no such resource.

    A cluster that doesn't answer isn't an error here: Azure's side is told, and a warning says so.

    Raises:
        ArcError: Azure refuses.
        AzureUnreachable: It doesn't answer.
    """
    return observation.observe(azure, scope, name, cluster_api)


def replaced(old: Onboarding, new: Onboarding) -> list[str]:
    """Return the inputs whose change can't be made in place, by the names of `Onboarding`'s fields."""
    changes = {
        "environment": old.environment.resource_manager != new.environment.resource_manager,
        "scope": target_of(old).key[:2] != target_of(new).key[:2],
        "name": old.name.lower() != new.name.lower(),
        "location": short_location(old.location) != short_location(new.location),
        "infrastructure": old.infrastructure != new.infrastructure,
        "features": old.features.oidc_issuer.enabled and not new.features.oidc_issuer.enabled,
    }
    return [name for name, is_changed in changes.items() if is_changed]


def update(azure: Azure, old: Onboarding, wanted: Onboarding, work: Work) -> Connected:
    """Make of a connection what is wanted now; safe to repeat after an interruption.

    Raises:
        As `connect`.
    """
    with applied(work):
        return _updated(azure, old, wanted, Agents(wanted.kubeconfig), work)


def _updated(azure: Azure, old: Onboarding, wanted: Onboarding, agents: Agents, work: Work) -> Connected:
    cluster = azure.get_cluster(wanted.name)
    if cluster is None:
        raise ArcError("gone", f"{wanted.id} no longer exists", "pulumi refresh, then pulumi up connects it again")
    _require_own(agents, wanted)
    if patch_body(old) != patch_body(wanted) or not is_within(patch_body(wanted), cluster):
        cluster = azure.patch_cluster(wanted.name, patch_body(wanted), work=work.within(_PUT_SECONDS))
    key = str(cluster["properties"].get("agentPublicKeyCertificate") or "")
    body = _put_linked(azure, wanted, old, key, work)
    install_agents(azure, wanted, agents, body, work)
    return wait_until_connected(azure, wanted, agents, work)


def disconnect(
    azure: Azure,
    scope: AzureScope,
    name: str,
    kubeconfig: str | None,
    *,
    force: bool = False,
    work: Work,
) -> tuple[str, ...]:
    """Take a connection away on both sides, so that the cluster can be connected again under the same name.

    Flux configurations and extensions that are left go first (in their agents' hands, while these are alive), then
    custom locations, the ARM resource, the agents' release, custom resources and namespaces.

    Args:
        azure: Where it is connected.
        scope: Its resource group.
        name: Its name.
        kubeconfig: Of the cluster; None: the cluster is gone for good, Azure's side is all there is.
        force: Go on where a side doesn't answer or agents don't do their part.
        work: Of all steps together.

    Returns:
        What was left behind, one text each, with how to remove it. Empty when all is gone.

    Raises:
        Conflict: The cluster is connected as another resource, which is named.
        AzureUnreachable: Azure doesn't answer, and `force` isn't set.
        ArcError: Azure refuses.
        Interrupted: It was cancelled.
    """
    with applied(work):
        return offboarding.disconnect(azure, scope, name, kubeconfig, force=force, work=work)


def target_of(wanted: Onboarding) -> ClusterIdentity:
    """Return as which resource the cluster is to be connected."""
    return ClusterIdentity(wanted.scope.subscription_id, wanted.scope.resource_group, wanted.name)


def look_around(azure: Azure, wanted: Onboarding, agents: Agents, work: Work) -> Standing:
    """Return what stands on the cluster and in Azure already."""
    release, identity, pair = agents.release(work), agents.identity(), agents.key_pair()
    existing = Existing.of(azure.get_cluster(wanted.name))
    named, hidden = existing, ""
    if identity is not None and identity.key != target_of(wanted).key:
        named, hidden = _named(azure, identity)
    return Standing(
        release=release,
        identity=identity,
        key=pair.public if pair else None,
        has_certificate=agents.has_certificate(),
        wanted=existing,
        named=named,
        hidden=hidden,
        leftovers=tuple(leftover_definitions(agents.api, wanted.environment.suffix)) if release is None else (),
    )


def _named(azure: Azure, identity: ClusterIdentity) -> tuple[Existing | None, str]:
    scope = AzureScope(identity.subscription_id, identity.resource_group)
    try:
        return Existing.of(azure.get_cluster(identity.name, scope=scope)), ""
    except ArmError as error:
        return None, error.message


def _require_ready(azure: Azure, wanted: Onboarding, api: ClusterApi, work: Work) -> None:
    work.status("checking what has to hold before a cluster is connected")
    _refuse(wanted, prechecks.find_problems(azure, wanted, api, work.within(_PRECHECK_SECONDS)), work)


def _require_reachable(wanted: Onboarding, api: ClusterApi, work: Work) -> None:
    _refuse(wanted, diagnosis.diagnose(api, wanted, work), work)


def _refuse(wanted: Onboarding, problems: list[Problem], work: Work) -> None:
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    for problem in problems:
        work.status(str(problem))
    if errors:
        raise Unready(f"{wanted.name} can't be connected to Azure Arc; nothing was made:", errors)


def _require_own(agents: Agents, wanted: Onboarding) -> None:
    """Refuse to change agents that speak as somebody else: a kubeconfig of the wrong cluster is easily given."""
    identity = agents.identity()
    if identity is not None and identity.key != target_of(wanted).key:
        raise Conflict(
            "connected-elsewhere",
            f"the cluster's agents speak as {identity}, not as {target_of(wanted)}",
            "check whose kubeconfig that is",
        )


def _public_key(agents: Agents, decision: Decision, standing: Standing) -> str:
    """Return the key that agents have, or one made for them that stands in the cluster before Azure hears of it.

    A run that is interrupted afterwards is known again by it.
    """
    if decision.action == "adopt" and standing.named is not None:
        return standing.named.public_key
    pair = agents.key_pair() if decision.action == "resume" else None
    pair = pair or make_key_pair()
    agents.put_key(pair)
    return pair.public


def _put_linked(
    azure: Azure, wanted: Onboarding, old: Onboarding | None, public_key: str, work: Work
) -> dict[str, object]:
    """Make the resource in Azure what is wanted, with its Arc gateway: linked before it is switched on."""
    gateway, within = wanted.features.gateway_id, work.within(_PUT_SECONDS)
    before = old.features.gateway_id if old is not None else None
    if gateway and gateway != before:
        if azure.get_cluster(wanted.name) is None:
            plain = replace(wanted, features=replace(wanted.features, gateway_id=None))
            _put(azure, plain, public_key, work)
        azure.link_gateway(wanted.name, gateway, work=within)
    elif before and not gateway:
        azure.link_gateway(wanted.name, None, work=within)
    return _put(azure, wanted, public_key, work)


def _put(azure: Azure, wanted: Onboarding, public_key: str, work: Work) -> dict[str, object]:
    """Make the resource in Azure what is wanted; one that is stays untouched."""
    body, existing = cluster_body(wanted, public_key), azure.get_cluster(wanted.name)
    state = str(((existing or {}).get("properties") or {}).get("provisioningState"))
    if existing is not None and state == "Succeeded" and is_within(body, existing):
        return existing
    return azure.put_cluster(wanted.name, body, work=work.within(_PUT_SECONDS))


def _clean(agents: Agents, suffix: str, work: Work) -> None:
    """Remove what stale agents left: their release, Arc's own custom resources, their namespaces."""
    release = agents.release(work)
    if release is not None:
        agents.uninstall(release, hooks=False, work=work)
    remove_definitions(agents.api, suffix, work)
    if release is None:
        return  # a key that an interrupted run made stays
    left = remove_namespaces(agents.api, work)
    if left:
        raise Conflict("namespace-terminating", "; ".join(left), "remove what holds it, and run again")
