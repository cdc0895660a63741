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
from typing import Unpack

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
    short_location,
)
from infra.arc.patience import Bounds, Patience
from infra.arc.transport import applied
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
    return prechecks.find_problems(azure, wanted, cluster_api, Patience().within(_PRECHECK_SECONDS))


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
    patience = Patience(**bounds)
    with applied(patience):
        return _connected(azure, wanted, Agents(wanted.kubeconfig), patience)


def _connected(azure: Azure, wanted: Onboarding, agents: Agents, patience: Patience) -> Connected:
    require_direct(agents.api.server, wanted.id)
    _require_ready(azure, wanted, agents.api, patience)
    suffix = wanted.environment.suffix
    await_terminating(agents.api, suffix, patience)
    standing = look_around(azure, wanted, agents, patience)
    decision = decide(standing, target_of(wanted))
    patience.status(decision.why)
    if decision.action != "adopt":
        _require_reachable(wanted, agents.api, patience)
    if decision.clean:
        _clean(agents, suffix, patience)
    azure.ensure_resource_group(wanted.location, {})
    body = _put_linked(azure, wanted, None, _public_key(agents, decision, standing), patience)
    install_agents(azure, wanted, agents, body, patience)
    return wait_until_connected(azure, wanted, agents, patience)


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


def update(azure: Azure, old: Onboarding, wanted: Onboarding, **bounds: Unpack[Bounds]) -> Connected:
    """Make of a connection what is wanted now; safe to repeat after an interruption.

    Raises:
        As `connect`.
    """
    patience = Patience(**bounds)
    with applied(patience):
        return _updated(azure, old, wanted, Agents(wanted.kubeconfig), patience)


def _updated(azure: Azure, old: Onboarding, wanted: Onboarding, agents: Agents, patience: Patience) -> Connected:
    found = azure.get_cluster(wanted.name)
    if found is None:
        raise ArcError("gone", f"{wanted.id} no longer exists", "pulumi refresh, then pulumi up connects it anew")
    _require_own(agents, wanted)
    if patch_body(old) != patch_body(wanted) or not is_within(patch_body(wanted), found):
        found = azure.patch_cluster(wanted.name, patch_body(wanted), **patience.within(_PUT_SECONDS).bounds)
    key = str(found["properties"].get("agentPublicKeyCertificate") or "")
    body = _put_linked(azure, wanted, old, key, patience)
    install_agents(azure, wanted, agents, body, patience)
    return wait_until_connected(azure, wanted, agents, patience)


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
    custom locations, the ARM resource, the agents' release, custom resources and namespaces.

    Args:
        azure: Where it is connected.
        scope: Its resource group.
        name: Its name.
        kubeconfig: Of the cluster; None: the cluster is gone for good, Azure's side is all there is.
        force: Go on where a side doesn't answer or agents don't do their part.
        bounds: Of all steps together.

    Returns:
        What was left behind, one text each, with how to remove it. Empty when all is gone.

    Raises:
        Conflict: The cluster is connected as another resource, which is named.
        AzureUnreachable: Azure doesn't answer, and `force` isn't set.
        ArcError: Azure refuses.
        Interrupted: It was cancelled.
    """
    patience = Patience(**bounds)
    with applied(patience):
        return offboarding.disconnect(azure, scope, name, kubeconfig, force=force, patience=patience)


def target_of(wanted: Onboarding) -> ClusterIdentity:
    """Return as which resource the cluster is to be connected."""
    return ClusterIdentity(wanted.scope.subscription_id, wanted.scope.resource_group, wanted.name)


def look_around(azure: Azure, wanted: Onboarding, agents: Agents, patience: Patience) -> Standing:
    """Return what stands on the cluster and in Azure already."""
    release, identity, pair = agents.release(patience), agents.identity(), agents.key_pair()
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


def _require_ready(azure: Azure, wanted: Onboarding, api: ClusterApi, patience: Patience) -> None:
    patience.status("checking what has to hold before a cluster is connected")
    _refuse(wanted, prechecks.find_problems(azure, wanted, api, patience.within(_PRECHECK_SECONDS)), patience)


def _require_reachable(wanted: Onboarding, api: ClusterApi, patience: Patience) -> None:
    _refuse(wanted, diagnosis.diagnose(api, wanted, patience), patience)


def _refuse(wanted: Onboarding, found: list[Problem], patience: Patience) -> None:
    errors = [str(one) for one in found if one.severity == "error"]
    for one in found:
        patience.status(str(one))
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
    azure: Azure, wanted: Onboarding, old: Onboarding | None, public_key: str, patience: Patience
) -> dict[str, object]:
    """Make the resource in Azure what is wanted, with its Arc gateway: linked before it is switched on."""
    gateway, bounds = wanted.features.gateway_id, patience.within(_PUT_SECONDS).bounds
    before = old.features.gateway_id if old is not None else None
    if gateway and gateway != before:
        if azure.get_cluster(wanted.name) is None:
            plain = replace(wanted, features=replace(wanted.features, gateway_id=None))
            _put(azure, plain, public_key, patience)
        azure.link_gateway(wanted.name, gateway, **bounds)
    elif before and not gateway:
        azure.link_gateway(wanted.name, None, **bounds)
    return _put(azure, wanted, public_key, patience)


def _put(azure: Azure, wanted: Onboarding, public_key: str, patience: Patience) -> dict[str, object]:
    """Make the resource in Azure what is wanted; one that is stays untouched."""
    body, found = cluster_body(wanted, public_key), azure.get_cluster(wanted.name)
    state = str(((found or {}).get("properties") or {}).get("provisioningState"))
    if found is not None and state == "Succeeded" and is_within(body, found):
        return found
    return azure.put_cluster(wanted.name, body, **patience.within(_PUT_SECONDS).bounds)


def _clean(agents: Agents, suffix: str, patience: Patience) -> None:
    """Remove what stale agents left: their release, Arc's own custom resources, their namespaces."""
    release = agents.release(patience)
    if release is not None:
        agents.uninstall(release, hooks=False, patience=patience)
    remove_definitions(agents.api, suffix, patience)
    if release is None:
        return  # a key that an interrupted run made stays
    left = remove_namespaces(agents.api, patience)
    if left:
        raise Conflict("namespace-terminating", "; ".join(left), "remove what holds it, and run again")
