"""The Extension kind: installs a cluster extension and waits until its agents say how it went."""

from __future__ import annotations

from typing import Any, Final

from infra.arc.cluster_resources import ExtensionWanted, extension_body, problems_of
from infra.arc.errors import ArcError
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.kinds.arc_base import AzureSessions, arm_id, bounds, connection_of, remove_from_cluster
from infra.provider.operation import Operation
from infra.resources.azure_access import AzureAccess
from infra.resources.extension import EXTENSION, ExtensionInputs, ExtensionState

_SECONDS: Final = 1200


class ExtensionKind(Kind[ExtensionInputs, ExtensionState]):
    """An extension of a connected cluster."""

    contract = EXTENSION

    def __init__(self, sessions: AzureSessions) -> None:
        self._sessions = sessions

    def create(self, op: Operation, inputs: ExtensionInputs) -> Made[ExtensionState]:
        """Install it; one that stands under the name is made what is wanted."""
        state = self._put(op, inputs)
        return Made(self.contract.id_of(state.to_wire()), state)

    def read(self, op: Operation, id: str, old: ExtensionState | None) -> ExtensionState | None:
        """Return what Azure says of it; protected settings are those last sent, for nobody gives them back."""
        azure, parts = self._sessions.of(old.access if old else AzureAccess(), id)
        cluster = arm_id(parts.parent)
        body = azure.get_extension(cluster.name, parts.name)
        if body is None:
            return None
        if old is None:
            old = _imported(parts.parent, connection_of(azure, cluster.name), parts.name, body)
        return _observed(old, body)

    def update(self, op: Operation, id: str, old: ExtensionState, inputs: ExtensionInputs) -> ExtensionState:
        """Make it what is wanted, with all protected settings: Azure keeps none that aren't sent again."""
        return self._put(op, inputs)

    def delete(self, op: Operation, id: str, old: ExtensionState) -> None:
        """Have the agents uninstall it; where they can't, Azure forgets it, and what stays is said."""
        azure, parts = self._sessions.of(old.access, id)
        cluster = arm_id(parts.parent).name

        def delete(force: bool) -> None:
            azure.delete_extension(cluster, parts.name, force=force, **bounds(op, _SECONDS))

        remove_from_cluster(op, azure, cluster, f"extension {old.name}", delete)

    def _put(self, op: Operation, inputs: ExtensionInputs) -> ExtensionState:
        """Send it and wait.

        Raises:
            InitFailed: The agents say that it failed, or not in time that it didn't.
        """
        azure, cluster = self._sessions.of(inputs.access, inputs.cluster_id)
        body = extension_body(
            ExtensionWanted(
                inputs.extension_type,
                inputs.release_train,
                inputs.version,
                inputs.release_namespace,
                inputs.target_namespace,
                inputs.configuration_settings,
                inputs.configuration_protected_settings,
            )
        )
        wanted = ExtensionState(**inputs.model_dump(), provisioning_state="Creating")
        try:
            found = azure.put_extension(cluster.name, inputs.name, body, **bounds(op, _SECONDS))
        except ArcError as error:
            stands = azure.get_extension(cluster.name, inputs.name)
            if stands is None:
                raise
            state = _observed(wanted, stands)
            listed = "".join(f"\n  - {one}" for one in state.statuses)
            raise InitFailed(
                Made(self.contract.id_of(state.to_wire()), state),
                f"extension {inputs.name} isn't installed: {error}{listed}",
            ) from error
        return _observed(wanted, found)


def _observed(state: ExtensionState, body: dict[str, Any]) -> ExtensionState:
    """Return the state with what Azure says now; what it upgrades by itself is no difference."""
    said = body.get("properties") or {}
    scope = said.get("scope") or {}
    automatic = bool(said.get("autoUpgradeMinorVersion", True))
    provisioning = str(said.get("provisioningState") or "")
    return state.model_copy(
        update={
            "extension_type": _same(state.extension_type, said.get("extensionType")),
            "release_train": _same(state.release_train, said.get("releaseTrain")),
            "version": None if automatic else said.get("version"),
            # Azure fills in the type's own namespace where none was asked for.
            "release_namespace": state.release_namespace and (scope.get("cluster") or {}).get("releaseNamespace"),
            "target_namespace": (scope.get("namespace") or {}).get("targetNamespace"),
            "configuration_settings": dict(said.get("configurationSettings") or {}),
            "installed": provisioning != "Failed",
            "provisioning_state": provisioning,
            "current_version": said.get("currentVersion") or said.get("version"),
            "statuses": problems_of(body),
        }
    )


def _same(ours: str, theirs: Any) -> str:
    """Return our spelling where only upper and lower case differ: Azure's own changes with the API version."""
    return ours if theirs is None or ours.lower() == str(theirs).lower() else str(theirs)


def _imported(cluster_id: str, connection: str, name: str, body: dict[str, Any]) -> ExtensionState:
    said = body.get("properties") or {}
    return ExtensionState(
        access=AzureAccess(),
        cluster_id=cluster_id,
        connection=connection,
        name=name,
        extension_type=str(said.get("extensionType") or ""),
        release_train=str(said.get("releaseTrain") or "Stable"),
        release_namespace=((said.get("scope") or {}).get("cluster") or {}).get("releaseNamespace"),
        provisioning_state="",
    )
