"""The DataCollection kind: makes what Azure Monitor needs beside an extension, and takes it away."""

from __future__ import annotations

import json
from typing import Final

from infra.arc.azure import Azure
from infra.arc.monitoring import Collection, CollectionWanted, establish, found_at, observe, remove
from infra.plugin.operation import Operation
from infra.provider.kind import Kind, Made
from infra.provider.kinds.arc_base import AzureSessions, arm_id, connection_of
from infra.resources.azure_access import AzureAccess
from infra.resources.data_collection import DATA_COLLECTION, DataCollectionInputs, DataCollectionState

_SECONDS: Final = 600


class DataCollectionKind(Kind[DataCollectionInputs, DataCollectionState]):
    """What Azure Monitor collects of a connected cluster."""

    contract = DATA_COLLECTION

    def __init__(self, sessions: AzureSessions) -> None:
        self._sessions = sessions

    def create(self, op: Operation, inputs: DataCollectionInputs) -> Made[DataCollectionState]:
        """Make it; what stands under the names, such as az has made it, is made what is wanted."""
        state = self._established(op, inputs)
        return self.made(state)

    def read(self, op: Operation, id: str, old: DataCollectionState | None) -> DataCollectionState | None:
        """Return what stands of it; None where nothing does."""
        azure, parts = self._sessions.of(old.access if old else AzureAccess(), id)
        if old is None:
            return self._imported(azure, id, parts.parent)
        observed = observe(azure, _wanted(old), _known(old))
        return None if observed is None else old.model_copy(update={"complete": observed.is_complete})

    def update(
        self, op: Operation, id: str, old: DataCollectionState, inputs: DataCollectionInputs
    ) -> DataCollectionState:
        """Make it what is wanted."""
        return self._established(op, inputs)

    def delete(self, op: Operation, id: str, old: DataCollectionState) -> None:
        """Remove it; a rule that by now holds for others stays, which is said."""
        azure, _ = self._sessions.of(old.access, id)
        stays = remove(azure, _wanted(old), _known(old), work=op.work(_SECONDS))
        if stays:
            op.warning(stays)

    def _established(self, op: Operation, inputs: DataCollectionInputs) -> DataCollectionState:
        azure, _ = self._sessions.of(inputs.access, inputs.cluster_id)
        established = establish(
            azure, _wanted(inputs), may_register=inputs.register_providers, work=op.work(_SECONDS)
        )
        return DataCollectionState(
            **inputs.model_dump() | {"complete": True},
            rule_id=established.rule_id,
            endpoint_id=established.endpoint_id,
            workspace_key=established.workspace_key,
        )

    def _imported(self, azure: Azure, id: str, cluster_id: str) -> DataCollectionState | None:
        there = found_at(azure, id)
        if there is None:
            return None
        wanted, observed = there
        return DataCollectionState(
            access=AzureAccess(),
            cluster_id=cluster_id,
            connection=connection_of(azure, arm_id(cluster_id).name),
            name=wanted.association,
            collects=wanted.collects,
            workspace_id=wanted.workspace_id,
            settings=json.dumps(wanted.settings) if wanted.settings else None,
            tags=dict(wanted.tags),
            rule_id=observed.rule_id,
            endpoint_id=observed.endpoint_id,
            workspace_key=observed.workspace_key,
        )


def _wanted(inputs: DataCollectionInputs) -> CollectionWanted:
    return CollectionWanted(
        cluster_id=inputs.cluster_id,
        association=inputs.name,
        collects=inputs.collects,
        workspace_id=inputs.workspace_id,
        settings=json.loads(inputs.settings) if inputs.settings else {},
        tags=inputs.tags,
    )


def _known(state: DataCollectionState) -> Collection:
    return Collection(state.rule_id, state.endpoint_id, state.workspace_key, state.complete)
