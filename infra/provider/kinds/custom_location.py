"""The CustomLocation kind: a namespace of a connected cluster as a place that Azure services deploy to."""

from __future__ import annotations

from typing import Any, Final

from infra.arc.cluster_resources import custom_location_body
from infra.plugin.operation import Operation
from infra.provider.kind import Kind, Made
from infra.provider.kinds.arc_base import AzureSessions, arm_id, connection_of
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
        return self.made(state)

    def read(self, op: Operation, id: str, old: CustomLocationState | None) -> CustomLocationState | None:
        """Return what Azure says of it."""
        azure, parts = self._sessions.of(old.access if old else AzureAccess(), id)
        body = azure.get_custom_location(parts.name)
        if body is None:
            return None
        properties = body.get("properties") or {}
        if old is None:
            old = CustomLocationState(
                access=AzureAccess(),
                subscription_id=parts.subscription_id,
                resource_group=parts.resource_group,
                name=parts.name,
                location=str(body.get("location") or ""),
                cluster_id=str(properties.get("hostResourceId") or ""),
                connection=connection_of(azure, arm_id(str(properties.get("hostResourceId"))).name),
                namespace=str(properties.get("namespace") or ""),
                display_name=str(properties.get("displayName") or parts.name),
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
        azure.delete_custom_location(parts.name, work=op.work(_SECONDS))

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
        answer = azure.put_custom_location(inputs.name, body, work=op.work(_SECONDS))
        return _observed(CustomLocationState(**inputs.model_dump(), provisioning_state=""), answer)


def _observed(state: CustomLocationState, body: dict[str, Any]) -> CustomLocationState:
    properties = body.get("properties") or {}
    return state.model_copy(
        update={
            "extension_ids": list(properties.get("clusterExtensionIds") or []),
            "display_name": str(properties.get("displayName") or state.display_name),
            "tags": dict(body.get("tags") or {}),
            "provisioning_state": str(properties.get("provisioningState") or ""),
        }
    )
