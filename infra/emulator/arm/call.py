"""A request to ARM that names a resource, and what it may expect of the world around it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property

from infra.emulator.arm import locations
from infra.emulator.arm.catalogue import Provider, ProviderType
from infra.emulator.arm.ids import Target
from infra.emulator.clock import text
from infra.emulator.http import JSON, Refusal, Request
from infra.emulator.store import Resource
from infra.emulator.world import World
from infra.model.azure_regions import short_location

GROUPS = "Microsoft.Resources/resourceGroups"


@dataclass(frozen=True)
class Call:
    """A request for a resource or a collection of a known type, let in already.

    Attributes:
        application: whose token it carries.
        version: the api-version it asks for.
    """

    world: World
    request: Request
    target: Target
    provider: Provider
    type: ProviderType
    application: str
    version: str

    @property
    def full_type(self) -> str:
        """The type as Azure spells it: `Microsoft.Kubernetes/connectedClusters`."""
        return f"{self.provider.namespace}/{self.type.name}"

    @cached_property
    def id(self) -> str:
        """The resource's id as it was made; a new one's with the parents' spelling, and the types as Azure's."""
        scope = self.world.store.get(self.target.scope)
        base = scope.id if scope is not None else self.target.scope
        pairs = [part for pair in zip(self.type.name.split("/"), self.target.names, strict=True) for part in pair]
        wanted = "/".join((base, "providers", self.provider.namespace, *pairs))
        there = self.world.store.get(wanted)
        return there.id if there is not None else wanted

    @property
    def existing(self) -> Resource | None:
        """The resource, if it is there."""
        return self.world.store.get(self.id)

    def require(self) -> Resource:
        """Return the resource.

        Raises:
            Refusal: it isn't there (404).
        """
        resource = self.existing
        if resource is None:
            raise not_found(f"{self.full_type}/{'/'.join(self.target.names)}", self.target.group)
        return resource

    def location_of(self, body: JSON) -> str:
        """Return the region that a tracked resource's body asks for, by its short name.

        Raises:
            Refusal: it is missing, not one of the type's, or not where the resource is already.
        """
        region = str(body.get("location") or "")
        if not region:
            raise Refusal(400, "LocationRequired", "The location property is required for this definition.")
        location = short_location(region)
        if location not in locations.DISPLAY_NAMES:
            raise Refusal(
                400,
                "LocationNotAvailableForResourceType",
                f"The provided location '{region}' is not available for resource type '{self.full_type}'. List of "
                f"available regions for the resource type is '{','.join(locations.DISPLAY_NAMES)}'.",
            )
        existing = self.existing
        if existing is not None and existing.body.get("location") not in (None, location):
            raise Refusal(
                409,
                "InvalidResourceLocation",
                f"The resource '{existing.name}' already exists in location '{existing.body['location']}' in "
                f"resource group '{self.target.group}'. A resource with the same name cannot be created in "
                f"location '{location}'. Please select a new resource name.",
            )
        return location

    def system_data(self, existing: Resource | None) -> JSON:
        """Return who wrote a resource first and last, and when."""
        now = text(self.world.clock.now())
        created = (existing.body.get("systemData") or {}) if existing is not None else {}
        return {
            "createdBy": created.get("createdBy", self.application),
            "createdByType": "Application",
            "createdAt": created.get("createdAt", now),
            "lastModifiedBy": self.application,
            "lastModifiedByType": "Application",
            "lastModifiedAt": now,
        }

    def identity(self, existing: Resource | None) -> JSON:
        """Return a system-assigned identity; a resource that is replaced gets a new one."""
        old_identity = (existing.body.get("identity") or {}) if existing is not None else {}
        return {
            "type": "SystemAssigned",
            "principalId": old_identity.get("principalId") or str(uuid.uuid4()),
            "tenantId": self.world.settings.tenant_id,
        }


def not_found(what: str, group: str | None) -> Refusal:
    """Return the 404 for a resource, by its type and name."""
    return Refusal(
        404,
        "ResourceNotFound",
        f"The Resource '{what}' under resource group '{group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
    )
