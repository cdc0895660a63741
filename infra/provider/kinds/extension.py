"""The Extension kind: installs a cluster extension and waits until its agents say how it went."""

from __future__ import annotations

from typing import Any

from infra.arc.azure import Azure
from infra.arc.cluster_resources import ExtensionWanted, extension_body, problems_of
from infra.model.work import Work
from infra.provider.kinds.on_cluster import OnClusterKind
from infra.resources.extension import EXTENSION, ExtensionInputs, ExtensionState
from infra.resources.on_cluster import OnCluster


class ExtensionKind(OnClusterKind[ExtensionInputs, ExtensionState]):
    """An extension of a connected cluster."""

    contract = EXTENSION
    what = "extension"
    fault = "isn't installed"

    def get(self, azure: Azure, cluster: str, name: str) -> dict[str, Any] | None:
        """Return what Azure has of it."""
        return azure.get_extension(cluster, name)

    def send(self, azure: Azure, cluster: str, inputs: ExtensionInputs, work: Work) -> dict[str, Any]:
        """Have it installed."""
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
        return azure.put_extension(cluster, inputs.name, body, work=work)

    def remove(self, azure: Azure, cluster: str, name: str, *, force: bool, work: Work) -> None:
        """Have it uninstalled."""
        azure.delete_extension(cluster, name, force=force, work=work)

    def wanted(self, inputs: ExtensionInputs) -> ExtensionState:
        """Return the state of one that is being installed."""
        return ExtensionState(**inputs.model_dump(), provisioning_state="Creating")

    def imported(self, about: OnCluster, body: dict[str, Any]) -> ExtensionState:
        """Return the state of one that nothing is known of but what Azure has."""
        properties = body.get("properties") or {}
        return ExtensionState(
            **about.model_dump(),
            extension_type=str(properties.get("extensionType") or ""),
            release_train=str(properties.get("releaseTrain") or "Stable"),
            release_namespace=((properties.get("scope") or {}).get("cluster") or {}).get("releaseNamespace"),
            provisioning_state="",
        )

    def observed(self, state: ExtensionState, body: dict[str, Any]) -> ExtensionState:
        """Return the state with what Azure says now; what it upgrades by itself is no difference."""
        properties = body.get("properties") or {}
        scope = properties.get("scope") or {}
        automatic = bool(properties.get("autoUpgradeMinorVersion", True))
        provisioning = str(properties.get("provisioningState") or "")
        return state.model_copy(
            update={
                "extension_type": _same(state.extension_type, properties.get("extensionType")),
                "release_train": _same(state.release_train, properties.get("releaseTrain")),
                "version": None if automatic else properties.get("version"),
                # Azure fills in the type's own namespace where none was asked for.
                "release_namespace": state.release_namespace
                and (scope.get("cluster") or {}).get("releaseNamespace"),
                "target_namespace": (scope.get("namespace") or {}).get("targetNamespace"),
                "configuration_settings": dict(properties.get("configurationSettings") or {}),
                "installed": provisioning != "Failed",
                "provisioning_state": provisioning,
                "current_version": properties.get("currentVersion") or properties.get("version"),
                "statuses": problems_of(body),
            }
        )


def _same(ours: str, theirs: Any) -> str:
    """Return our spelling where only upper and lower case differ: Azure's own changes with the API version."""
    return ours if theirs is None or ours.lower() == str(theirs).lower() else str(theirs)
