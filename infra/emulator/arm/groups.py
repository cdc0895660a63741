"""Subscriptions, tenants, providers, resource groups and the lists across types: ARM's own resources."""

from __future__ import annotations

import re
from typing import Final

from infra.emulator import operations
from infra.emulator.arm import catalogue, locations
from infra.emulator.arm.call import GROUPS
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.operations import POLL_SECONDS
from infra.emulator.shapes import check_request, shape_of
from infra.emulator.store import Resource
from infra.emulator.world import World
from infra.model.azure_regions import short_location

_MODELS: Final = "azure.mgmt.resource.resources.models"
_NAME: Final = re.compile(r"[-\w._()]{1,90}(?<!\.)")
_FILTER: Final = re.compile(r"\s*(\w+)\s+(eq|ne)\s+'([^']*)'\s*", re.IGNORECASE)


def tenants(world: World, _request: Request) -> Answer:
    """Answer `/tenants`."""
    tenant = world.settings.tenant_id
    shown = {
        "id": f"/tenants/{tenant}",
        "tenantId": tenant,
        "displayName": world.settings.subscription_name,
        "tenantCategory": "Home",
        "countryCode": "US",
        "domains": ["azlocal.invalid"],
        "defaultDomain": "azlocal.invalid",
        "tenantType": "AAD",
    }
    return Answer(200, {"value": [shown]})


def subscriptions(world: World, _request: Request) -> Answer:
    """Answer `/subscriptions`."""
    return Answer(200, {"value": [_subscription(world)], "count": {"type": "Total", "value": 1}})


def subscription(world: World, _request: Request) -> Answer:
    """Answer `/subscriptions/{s}`."""
    return Answer(200, _subscription(world))


def _subscription(world: World) -> JSON:
    settings = world.settings
    return {
        "id": f"/subscriptions/{settings.subscription_id}",
        "subscriptionId": settings.subscription_id,
        "tenantId": settings.tenant_id,
        "displayName": settings.subscription_name,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "Emulator",
            "spendingLimit": "Off",
        },
    }


def regions(world: World, _request: Request) -> Answer:
    """Answer `/subscriptions/{s}/locations`."""
    value = [
        {
            "id": f"/subscriptions/{world.settings.subscription_id}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": shown,
            "regionalDisplayName": shown,
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
        }
        for name, shown in {**locations.DISPLAY_NAMES, **locations.WITHOUT_ARC}.items()
    ]
    return Answer(200, {"value": value})


def providers(world: World, request: Request, parts: list[str]) -> Answer:
    """Answer `/subscriptions/{s}/providers[/{namespace}[/register|unregister]]`."""
    subscription_id = world.settings.subscription_id
    if not parts:
        value = [
            catalogue.shown(world.store, world.clock, provider, subscription_id)
            for provider in catalogue.PROVIDERS.values()
        ]
        return Answer(200, {"value": value})
    provider = catalogue.provider_of(parts[0])
    if len(parts) == 2 and request.method == "POST":
        if parts[1].lower() == "register":
            catalogue.register(world.store, world.clock, provider)
        else:
            catalogue.unregister(world.store, provider)
    elif request.method != "GET":
        raise _unsupported(request)
    return Answer(200, catalogue.shown(world.store, world.clock, provider, subscription_id))


def find_group(world: World, name: str) -> Resource:
    """Return a resource group.

    Raises:
        Refusal: it isn't there (404 ResourceGroupNotFound).
    """
    resource = world.store.get(_group_id(world, name))
    if resource is None:
        raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
    return resource


def require_group(world: World, name: str) -> Resource:
    """Return a resource group that something is written into.

    Raises:
        Refusal: it isn't there, or is being deleted (409).
    """
    resource = find_group(world, name)
    if "deleting" in resource.hidden:
        raise Refusal(
            409,
            "ResourceGroupBeingDeleted",
            f"The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
        )
    return resource


def groups(world: World, request: Request) -> Answer:
    """Answer `/subscriptions/{s}/resourcegroups`."""
    candidates = world.store.under(f"/subscriptions/{world.settings.subscription_id}", GROUPS)
    shown = [candidate.body for candidate in candidates if _matches(candidate, request.query.get("$filter", ""))]
    return Answer(200, {"value": shown})


def group(world: World, request: Request, name: str) -> Answer:
    """Answer `/subscriptions/{s}/resourcegroups/{name}`."""
    match request.method:
        case "HEAD":
            return Answer(204 if world.store.get(_group_id(world, name)) else 404)
        case "GET":
            return Answer(200, find_group(world, name).body)
        case "PUT":
            return _put_group(world, request, name)
        case "PATCH":
            return _patch_group(world, request, name)
        case "DELETE":
            return _delete_group(world, request, name)
        case _:
            raise _unsupported(request)


def resources(world: World, request: Request, group_name: str | None) -> Answer:
    """Answer `/resources` of the subscription or a group: what has a location of its own, as ARM lists it."""
    scope = find_group(world, group_name).id if group_name else f"/subscriptions/{world.settings.subscription_id}"
    tracked = [
        resource
        for resource in world.store.under(scope)
        if "location" in resource.body
        and resource.type != GROUPS
        and _matches(resource, request.query.get("$filter", ""))
    ]
    top = request.query.get("$top", "")
    return Answer(
        200, {"value": [_listed(resource) for resource in tracked[: int(top) if top.isdigit() else None]]}
    )


def operation_result(world: World, request: Request, operation_id: str) -> Answer:
    """Answer `/subscriptions/{s}/operationresults/{id}`: 202 while it runs, then 200."""
    operation = operations.find(world.store, operation_id)
    if operation is None:
        raise Refusal(404, "OperationNotFound", f"The operation '{operation_id}' was not found.")
    if operation.is_running:
        location = f"{request.base_url}{operation.path}?api-version={request.query.get('api-version', '')}"
        return Answer(202, None, {"Location": location, "Retry-After": str(POLL_SECONDS)})
    if operation.error is not None:
        return Answer(409, {"error": operation.error})
    return Answer(200)


def _put_group(world: World, request: Request, name: str) -> Answer:
    if not _NAME.fullmatch(name):
        raise Refusal(
            400,
            "InvalidResourceGroup",
            f"The provided resource group name '{name}' has these invalid characters: it may have letters, "
            "digits, '_', '-', '.', '(' and ')', must not end with a dot, and has at most 90.",
        )
    body = check_request(shape_of(_MODELS, "ResourceGroup"), request.json())
    existing = world.store.get(_group_id(world, name))
    if existing is not None:
        require_group(world, name)
    location = short_location(str(body.get("location") or ""))
    if location not in locations.DISPLAY_NAMES and location not in locations.WITHOUT_ARC:
        raise Refusal(
            400,
            "LocationNotAvailableForResourceGroup",
            f"The provided location '{body.get('location', '')}' is not available for resource group. List of "
            f"available regions is '{','.join(locations.DISPLAY_NAMES)}'.",
        )
    if existing is not None and existing.body["location"] != location:
        raise Refusal(
            409,
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{location}'. The Resource group already exists in location "
            f"'{existing.body['location']}'.",
        )
    spelled = existing.id if existing is not None else _group_id(world, name)
    shown = {
        "id": spelled,
        "name": spelled.rpartition("/")[2],
        "type": GROUPS,
        "location": location,
        "tags": body.get("tags") or {},
        "properties": {"provisioningState": "Succeeded"},
    }
    world.store.put(Resource(spelled, GROUPS, shown))
    return Answer(201 if existing is None else 200, shown)


def _patch_group(world: World, request: Request, name: str) -> Answer:
    resource = require_group(world, name)
    body = check_request(shape_of(_MODELS, "ResourceGroupPatchable"), request.json())
    shown = {**resource.body, "tags": body["tags"] if body.get("tags") is not None else resource.body.get("tags")}
    world.store.put(Resource(resource.id, GROUPS, shown, resource.hidden))
    return Answer(200, shown)


def _delete_group(world: World, request: Request, name: str) -> Answer:
    """Begin to delete a group with all that is in it; agents in clusters are left as they are, as in Azure."""
    resource = find_group(world, name)
    running = operations.running_on(world.store, resource)
    if running is None:
        marked = resource.with_hidden(deleting="true").with_properties(provisioningState="Deleting")
        slow = world.faults.met("slowOperation", "DELETE", request.path, f"{GROUPS}/delete")
        running = operations.begin(
            world.store,
            world.clock,
            world.store.put(marked),
            "delete",
            f"/subscriptions/{world.settings.subscription_id}/operationresults/{{id}}",
            by_agents=False,
            extra_seconds=slow.seconds if slow else 0.0,
        )
    url = f"{request.base_url}{running.path}?api-version={request.query.get('api-version', '')}"
    return Answer(202, None, {"Location": url, "Retry-After": str(POLL_SECONDS)})


def _listed(resource: Resource) -> JSON:
    fields = ("id", "name", "type", "location", "tags", "kind", "identity", "plan", "sku", "managedBy")
    shown = {name: resource.body[name] for name in fields if name in resource.body}
    data = resource.body.get("systemData") or {}
    times = {"createdTime": data.get("createdAt"), "changedTime": data.get("lastModifiedAt")}
    return {
        **shown,
        **{name: moment for name, moment in times.items() if moment},
        "provisioningState": resource.properties.get("provisioningState", "Succeeded"),
    }


def _matches(resource: Resource, condition: str) -> bool:
    """Return whether a resource meets a `$filter`: equalities joined by `and`.

    Raises:
        Refusal: the filter says something else.
    """
    tags: dict[str, str] = resource.body.get("tags") or {}
    wanted_tag = ""
    for clause in re.split(r"\s+and\s+", condition, flags=re.IGNORECASE) if condition else []:
        match = _FILTER.fullmatch(clause)
        if match is None:
            raise Refusal(
                400, "InvalidFilterInQueryString", f"Invalid $filter '{condition}' specified in the query."
            )
        field, operator, value = match[1].lower(), match[2].lower(), match[3]
        if field == "tagname":
            wanted_tag, holds = value, value in tags
        elif field == "tagvalue":
            holds = tags.get(wanted_tag) == value
        else:
            holds = _field(resource, field).lower() == value.lower()
        if holds != (operator == "eq"):
            return False
    return True


def _field(resource: Resource, name: str) -> str:
    match name:
        case "resourcetype":
            return resource.type
        case "resourcegroup":
            return resource.id.split("/")[4]
        case "name" | "location":
            return str(resource.body.get(name, ""))
        case _:
            raise Refusal(400, "InvalidFilterInQueryString", f"The field '{name}' can't be filtered by.")


def _group_id(world: World, name: str) -> str:
    return f"/subscriptions/{world.settings.subscription_id}/resourceGroups/{name}"


def _unsupported(request: Request) -> Refusal:
    return Refusal(
        405, "UnsupportedHttpMethod", f"The http method '{request.method}' is not supported at '{request.path}'."
    )
