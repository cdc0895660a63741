"""What Azure wants of a cluster (extensions, Flux configurations), and what its agents report back.

A PUT, PATCH or DELETE raises a resource's `generation`. The agents ask for what is desired, act, and report with
the generation that they acted on; a report on an older one is ignored, since something else is wanted by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from infra.emulator import operations
from infra.emulator.clock import Clock, text
from infra.emulator.operations import AGENTS_LIMIT
from infra.emulator.store import Resource, Store

EXTENSIONS: Final = "Microsoft.KubernetesConfiguration/extensions"
FLUX_CONFIGURATIONS: Final = "Microsoft.KubernetesConfiguration/fluxConfigurations"

# What only Azure or the agents write; the rest of `properties` is what is desired.
_COMMON_READ_ONLY: Final = frozenset({"provisioningState", "statuses", "errorInfo"})
_READ_ONLY: Final = {
    EXTENSIONS: _COMMON_READ_ONLY
    | {"currentVersion", "customLocationSettings", "packageUri", "isSystemExtension", "extensionState"},
    FLUX_CONFIGURATIONS: _COMMON_READ_ONLY
    | {
        "repositoryPublicKey",
        "sourceSyncedCommitId",
        "sourceUpdatedAt",
        "statusUpdatedAt",
        "complianceState",
        "errorMessage",
    },
}
REPORTABLE: Final = {kind: names - {"provisioningState"} for kind, names in _READ_ONLY.items()}


@dataclass(frozen=True)
class Desired:
    """One resource as Azure wants it.

    Attributes:
        deleting: it is to be uninstalled; report `Deleted` when it is.
        is_reported: the agents have brought this generation to an end already.
        properties: what the user wants, without what only Azure or the agents write.
        protected: protected settings; None: they were handed out and reported on, or are older than 48 hours, so
            the agents use those that they have in the cluster.
    """

    id: str
    type: str
    name: str
    generation: int
    deleting: bool
    is_reported: bool
    properties: dict[str, Any]
    identity: dict[str, Any] | None
    protected: dict[str, Any] | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Report:
    """What the agents did with a generation.

    Attributes:
        state: `Succeeded` and `Failed` end the operation that waits, `Deleted` removes the resource; `InProgress`
            only shows `properties`.
        properties: read-only properties by their ARM names (`REPORTABLE`), such as `statuses`, `currentVersion`,
            `complianceState`; None takes one away.
        error_code: with `Failed`, such as `ExtensionCreationFailed`.
    """

    generation: int
    state: Literal["InProgress", "Succeeded", "Failed", "Deleted"]
    properties: Mapping[str, Any] = field(default_factory=dict)
    error_code: str = ""
    error_message: str = ""


def desired_of(store: Store, clock: Clock, cluster: Resource) -> list[Desired]:
    """Return what Azure wants of a cluster now, by id: all of it, reported or not."""
    resources = [*store.under(cluster.id, EXTENSIONS), *store.under(cluster.id, FLUX_CONFIGURATIONS)]
    return [_desired(store, clock, resource) for resource in resources]


def report(store: Store, clock: Clock, cluster: Resource, resource_id: str, said: Report) -> bool:
    """Take the agents' word on one resource of their cluster; return False where nothing depends on it any more.

    The first report that ends a generation drops its protected settings: the agents keep them in the cluster.
    Later ones on the same generation go on showing what changes, such as a Flux configuration's compliance.

    Raises:
        ValueError: a property is not the agents' to write.
    """
    resource = store.get(resource_id)
    if resource is None or not resource.key.startswith(f"{cluster.key}/"):
        return False
    foreign = set(said.properties) - REPORTABLE.get(resource.type, frozenset())
    if foreign:
        raise ValueError(f"agents don't write {', '.join(sorted(foreign))} of {resource.type}")
    deleting = "deleting" in resource.hidden
    is_outdated = said.generation != resource.hidden.get("generation")
    if is_outdated or said.state == ("Succeeded" if deleting else "Deleted"):
        return False
    shown = store.put(resource.with_properties(**said.properties))
    if said.state == "InProgress":
        return True
    shown = store.put(shown.with_hidden(reported=said.generation))
    store.delete_secret(resource.id)
    running = operations.running_on(store, shown)
    if running is not None and running.due is None:
        operations.end(store, clock, running, _error(said) if said.state == "Failed" else None)
    elif said.state == "Deleted":
        store.delete(resource.id)
    return True


def want(
    store: Store, clock: Clock, resource: Resource, protected: Mapping[str, Any] | None, *, deleting: bool = False
) -> Resource:
    """Write a resource as a client now wants it, as a new generation.

    Args:
        protected: protected settings in full, in place of earlier ones; None: none were sent.
    """
    generation = int(resource.hidden.get("generation", 0)) + 1
    if protected is not None:
        store.put_secret(resource.id, protected, clock.now())
    return store.put(
        resource.with_hidden(
            generation=generation, deleting=text(clock.now()) if deleting else None, reported=None
        )
    )


def _desired(store: Store, clock: Clock, resource: Resource) -> Desired:
    secret = store.secret(resource.id)
    is_fresh = secret is not None and clock.now() - secret.stored < AGENTS_LIMIT
    read_only = _READ_ONLY[resource.type]
    generation = int(resource.hidden.get("generation", 0))
    return Desired(
        id=resource.id,
        type=resource.type,
        name=resource.name,
        generation=generation,
        deleting="deleting" in resource.hidden,
        is_reported=resource.hidden.get("reported") == generation,
        properties={name: value for name, value in resource.properties.items() if name not in read_only},
        identity=resource.body.get("identity"),
        protected=secret.content if secret is not None and is_fresh else None,
    )


def _error(outcome: Report) -> dict[str, Any]:
    return {
        "code": "ResourceOperationFailure",
        "message": "The resource operation completed with terminal provisioning state 'Failed'.",
        "details": [{"code": outcome.error_code or "ExtensionOperationFailed", "message": outcome.error_message}],
    }
