"""The CustomLocation kind: a namespace of a connected cluster as a place that Azure services deploy to."""

from __future__ import annotations

from typing import Any, Final

from infra.arc.cluster_resources import custom_location_body
from infra.provider.kind import Kind, Made
from infra.provider.kinds.arc_base import AzureSessions, arm_id, bounds, connection_of
from infra.provider.operation import Operation
from infra.resources.azure_access import AzureAccess
from infra.resources.custom_location import CUSTOM_LOCATION, CustomLocationInputs, CustomLocationState

_SECONDS: Final = 600


class CustomLocationKind(Kind[CustomLocationInputs, CustomLocationState]):
    """A custom location."""

    contract = CUSTOM_LOCATION

    def __init__(self, sessions: AzureSessions) -> None:
        self._sessions = sessions

    def create(self, op: Operation, inputs: CustomLocationInputs) -> Made[CustomLocationState]:
        """Make it; one that stands under the name is made what is wanted."""
        state = self._put(op, inputs)
        return Made(self.contract.id_of(state.to_wire()), state)

    def read(self, op: Operation, id: str, old: CustomLocationState | None) -> CustomLocationState | None:
        """Return what Azure says of it."""
        azure, parts = self._sessions.of(old.access if old else AzureAccess(), id)
        body = azure.get_custom_location(parts.name)
        if body is None:
            return None
        said = body.get("properties") or {}
        if old is None:
            old = CustomLocationState(
                access=AzureAccess(),
                subscription_id=parts.subscription_id,
                resource_group=parts.resource_group,
                name=parts.name,
                location=str(body.get("location") or ""),
                cluster_id=str(said.get("hostResourceId") or ""),
                connection=connection_of(azure, arm_id(str(said.get("hostResourceId"))).name),
                namespace=str(said.get("namespace") or ""),
                display_name=str(said.get("displayName") or parts.name),
                provisioning_state="",
            )
        return _observed(old, body)

    def update(
        self, op: Operation, id: str, old: CustomLocationState, inputs: CustomLocationInputs
    ) -> CustomLocationState:
        """Make it what is wanted."""
        return self._put(op, inputs)

    def delete(self, op: Operation, id: str, old: CustomLocationState) -> None:
        """Remove it; success when it already is gone."""
        azure, parts = self._sessions.of(old.access, id)
        azure.delete_custom_location(parts.name, **bounds(op, _SECONDS))

    def _put(self, op: Operation, inputs: CustomLocationInputs) -> CustomLocationState:
        azure = self._sessions.session(inputs.access, inputs.subscription_id, inputs.resource_group)
        body = custom_location_body(
            inputs.location,
            inputs.cluster_id,
            inputs.namespace,
            inputs.extension_ids,
            inputs.display_name,
            inputs.tags,
        )
        found = azure.put_custom_location(inputs.name, body, **bounds(op, _SECONDS))
        return _observed(CustomLocationState(**inputs.model_dump(), provisioning_state=""), found)


def _observed(state: CustomLocationState, body: dict[str, Any]) -> CustomLocationState:
    said = body.get("properties") or {}
    return state.model_copy(
        update={
            "extension_ids": list(said.get("clusterExtensionIds") or []),
            "display_name": str(said.get("displayName") or state.display_name),
            "tags": dict(body.get("tags") or {}),
            "provisioning_state": str(said.get("provisioningState") or ""),
        }
    )
