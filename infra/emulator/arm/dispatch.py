"""ARM's front: who may ask, whether what is asked exists in that version, and which kind answers."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

from starlette.routing import Route

from infra.emulator import operations
from infra.emulator.arm import catalogue, groups, ids
from infra.emulator.arm.call import Call
from infra.emulator.arm.connected_clusters import ConnectedClusters
from infra.emulator.arm.custom_locations import CustomLocations
from infra.emulator.arm.ids import Target
from infra.emulator.arm.kind import Kind, method_not_allowed
from infra.emulator.arm.kubernetes_configuration import (
    Extensions,
    FluxConfigurations,
    SourceControlConfigurations,
)
from infra.emulator.arm.managed_identity import FederatedIdentityCredentials, UserAssignedIdentities
from infra.emulator.arm.metadata import metadata
from infra.emulator.arm.monitor import (
    Accounts,
    AssociationsOfRule,
    DataCollectionEndpoints,
    DataCollectionRuleAssociations,
    DataCollectionRules,
    Workspaces,
    foreign_workspace,
)
from infra.emulator.arm.other_kinds import (
    BfdProfiles,
    BgpPeers,
    Gateways,
    GatewaySettings,
    LoadBalancers,
    PrivateLinkScopes,
)
from infra.emulator.entra import application_of
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.limits import BODY_BYTES
from infra.emulator.operations import POLL_SECONDS
from infra.emulator.routes import route
from infra.emulator.world import World

_METHODS: Final = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
KINDS: Final = {
    kind.type.lower(): kind
    for kind in (
        ConnectedClusters(),
        Extensions(),
        FluxConfigurations(),
        SourceControlConfigurations(),
        CustomLocations(),
        LoadBalancers(),
        BgpPeers(),
        BfdProfiles(),
        GatewaySettings(),
        Gateways(),
        PrivateLinkScopes(),
        DataCollectionRules(),
        DataCollectionEndpoints(),
        DataCollectionRuleAssociations(),
        AssociationsOfRule(),
        Workspaces(),
        UserAssignedIdentities(),
        FederatedIdentityCredentials(),
        Accounts(),
    )
}
# Of the forms that providers have: …/locations/{l}/operationStatuses/{id}, …/{resource}/operations/{id}.
_OPERATION: Final = re.compile(r".*/operation(?:s|s?status(?:es)?)/([0-9a-f-]{36})", re.IGNORECASE)
_RESULT: Final = re.compile(r"/subscriptions/[^/]+/operationresults/([0-9a-f-]{36})", re.IGNORECASE)
_VERBS: Final = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_WHAT: Final = {
    "name": "azlocal emulator",
    "description": "Stands in for Azure Resource Manager, Entra and the Arc services. This is not Azure.",
}


def routes(world: World) -> list[Route]:
    """Return the one route that takes every path no other part knows."""
    return [route(world, "/{path:path}", answer, _METHODS, action_of, body_bytes=BODY_BYTES)]


def answer(world: World, request: Request) -> Answer:
    """Answer a request to ARM."""
    parts = [part for part in request.path.split("/") if part]
    match [part.lower() for part in parts[:2]]:
        case []:
            return Answer(200, _WHAT)
        case ["metadata", "endpoints"]:
            return metadata(world, request)
        case _:
            return _guarded(world, request, parts)


def action_of(request: Request) -> str:
    """Return the action that Azure's access control asks for: `Microsoft.Kubernetes/connectedClusters/write`."""
    target = ids.parse(request.path)
    if target is None:
        is_group = re.fullmatch(r"/subscriptions/[^/]+/resourcegroups/[^/]+/?", request.path, re.IGNORECASE)
        return f"Microsoft.Resources/resourceGroups/{_VERBS.get(request.method, 'action')}" if is_group else ""
    spelled = {kind.lower(): handler.type for kind, handler in KINDS.items()}.get(target.type, target.type)
    return f"{spelled}/{_VERBS.get(request.method, 'action')}"


def _guarded(world: World, request: Request, parts: list[str]) -> Answer:
    """Let a request in, as ARM does for all of its paths."""
    version = request.query.get("api-version", "")
    if not version:
        raise Refusal(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    application = application_of(world, request)
    if (
        len(parts) > 1
        and parts[0].lower() == "subscriptions"
        and parts[1].lower() != world.settings.subscription_id
    ):
        elsewhere = foreign_workspace(world, request)
        if elsewhere is not None:
            return elsewhere
        raise Refusal(404, "SubscriptionNotFound", f"The subscription '{parts[1]}' could not be found.")
    match = _OPERATION.fullmatch(request.path)
    if match is not None:
        return _operation(world, request, match[1])
    target = ids.parse(request.path)
    # /subscriptions/{s}/providers/{namespace}/register is the subscription's own.
    if target is not None and not _is_own(parts):
        return _resource(world, request, target, application, version)
    _require_own_version(version)
    return _own(world, request, parts)


def _is_own(parts: list[str]) -> bool:
    lowered = [part.lower() for part in parts]
    return lowered[2:3] == ["providers"] and lowered[4:] in ([], ["register"], ["unregister"])


def _require_own_version(version: str) -> None:
    if version not in catalogue.RESOURCES_VERSIONS:
        raise Refusal(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. The supported versions are "
            f"'{','.join(catalogue.RESOURCES_VERSIONS)}'.",
        )


def _own(world: World, request: Request, parts: list[str]) -> Answer:
    """Answer for what is ARM's own, not a provider's."""
    result = _RESULT.fullmatch(request.path)
    if result is not None:
        return groups.operation_result(world, request, result[1])
    match [part.lower() for part in parts]:
        case ["tenants"]:
            return groups.tenants(world, request)
        case ["subscriptions"]:
            return groups.subscriptions(world, request)
        case ["subscriptions", _]:
            return groups.subscription(world, request)
        case ["subscriptions", _, "locations"]:
            return groups.regions(world, request)
        case ["subscriptions", _, "providers", *_]:
            return groups.providers(world, request, parts[3:])
        case ["subscriptions", _, "resources"]:
            return groups.resources(world, request, None)
        case ["subscriptions", _, "resourcegroups"]:
            return groups.groups(world, request)
        case ["subscriptions", _, "resourcegroups", _]:
            return groups.group(world, request, parts[3])
        case ["subscriptions", _, "resourcegroups", _, "resources"]:
            return groups.resources(world, request, parts[3])
        case ["providers", namespace, "operations"]:
            catalogue.provider_of(namespace)
            return Answer(200, {"value": []})
        case _:
            raise Refusal(404, "NotFound", f"The requested path '{request.path}' was not found.")


def _resource(world: World, request: Request, target: Target, application: str, version: str) -> Answer:
    provider = catalogue.provider_of(target.namespace)
    target, action = target.parent_action() if request.method == "POST" and target.is_collection else (target, "")
    location = world.settings.location
    known = catalogue.require_version(provider, "/".join(target.types), version, location)
    kind = KINDS.get(target.type)
    if kind is None:
        raise Refusal(404, "InvalidResourceType", f"The emulator doesn't have the type '{target.type}'.")
    call = Call(world, request, target, provider, known, application, version)
    if target.group is not None:
        (groups.require_group if request.method in ("PUT", "PATCH") else groups.find_group)(world, target.group)
    if request.method in ("PUT", "PATCH", "POST"):
        catalogue.require_registered(world.store, world.clock, provider)
    if bool(kind.parents) != target.is_extension:
        raise _misplaced(call)
    return _verb(kind, call, action)


def _verb(kind: Kind, call: Call, action: str) -> Answer:
    match call.request.method, call.target.is_collection:
        case "GET", True:
            return kind.list(call)
        case "GET", False:
            return kind.get(call)
        case "HEAD", False:
            return Answer(204 if call.existing is not None else 404)
        case "PUT", False:
            return kind.put(call)
        case "PATCH", False:
            return kind.patch(call)
        case "DELETE", False:
            return kind.delete(call)
        case "POST", False if action:
            return kind.act(call, call.require(), action)
        case _:
            raise method_not_allowed(call.request, call.full_type)


def _misplaced(call: Call) -> Refusal:
    return Refusal(
        404,
        "InvalidResourceType",
        f"The resource type '{call.type.name}' could not be found in the namespace '{call.provider.namespace}' "
        f"for api version '{call.version}' at the scope '{call.target.scope}'.",
    )


def _operation(world: World, request: Request, operation_id: str) -> Answer:
    """Answer for an operation; one that failed comes with 200 too, its error inside, as Azure's do."""
    operation = operations.find(world.store, operation_id)
    if operation is None:
        raise Refusal(404, "OperationNotFound", f"The operation '{operation_id}' was not found.")
    retry = {"Retry-After": str(POLL_SECONDS)}
    if request.flag("result"):  # what `Location` names: no body, only the code
        query = urlencode({"api-version": request.query["api-version"], "result": "true"})
        location = f"{request.base_url}{request.path}?{query}"
        return Answer(202, None, {**retry, "Location": location}) if operation.is_running else Answer(204)
    shown: JSON = {"id": operation.path, "name": operation.id, "status": operation.status}
    if operation.is_running:
        return Answer(200, shown, retry)
    return Answer(200, {**shown, "error": operation.error} if operation.error is not None else shown)
