"""What the kinds that stand in Azure have in common: a session, opened once for each Azure and resource group."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from infra.arc.azure import Azure
from infra.arc.cluster_resources import ArmId, parse_arm_id
from infra.arc.credentials import credential_for
from infra.arc.errors import ArcError
from infra.arc.model import AzureScope
from infra.emulator.environment import any_environment
from infra.plugin.operation import Operation
from infra.resources.azure_access import AzureAccess


class AzureSessions:
    """Sessions with Azure, shared by all operations of the process; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[tuple[AzureAccess, str, str], Azure] = {}

    def session(self, access: AzureAccess, subscription_id: str, resource_group: str) -> Azure:
        """Return a session; the first one for an emulator also starts it where it isn't running.

        Raises:
            ArcError: There is no such Azure, or no credential for it.
        """
        key = access, subscription_id, resource_group
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = _open(access, AzureScope(subscription_id, resource_group, access.tenant_id))
            return self._sessions[key]

    def of(self, access: AzureAccess, id: str) -> tuple[Azure, ArmId]:
        """Return the session for a resource, and its id taken apart.

        Raises:
            ArcError: That is no ARM id.
        """
        parts = arm_id(id)
        return self.session(access, parts.subscription_id, parts.resource_group), parts


def arm_id(id: str) -> ArmId:
    """Take an ARM id apart.

    Raises:
        ArcError: It isn't one.
    """
    parts = parse_arm_id(id)
    if parts is None:
        raise ArcError(
            "arm-id", f"{id!r} is no ARM id", "one looks like /subscriptions/…/resourceGroups/…/providers/…"
        )
    return parts


def remove_from_cluster(
    op: Operation, azure: Azure, cluster: str, what: str, delete: Callable[[bool], None]
) -> None:
    """Delete what agents have to take out of their cluster; where they can't, Azure forgets it, and that is said.

    Args:
        op: the operation.
        azure: where the cluster is connected.
        cluster: the connected cluster's name.
        what: for the message.
        delete: deletes it; True: in Azure only.
    """
    connected = azure.get_cluster(cluster)
    if connected is None:
        return  # its children went with it
    status = (connected.get("properties") or {}).get("connectivityStatus")
    if status != "Connected":
        op.warning(
            f"{what} is forgotten in Azure only: cluster {cluster} is {status}, so its agents can't remove it; "
            "what it put into the cluster stays there"
        )
    delete(status != "Connected")


def connection_of(azure: Azure, cluster: str) -> str:
    """Return what tells a cluster's connection from a later one: its agents' public key."""
    properties = (azure.get_cluster(cluster) or {}).get("properties") or {}
    return str(properties.get("agentPublicKeyCertificate") or "")


def _open(access: AzureAccess, scope: AzureScope) -> Azure:
    environment = any_environment(
        access.cloud,
        emulator_folder=Path(access.emulator_folder) if access.emulator_folder else None,
        resource_manager=access.resource_manager,
        ca_file=Path(access.ca_file) if access.ca_file else None,
    )
    return Azure(environment, scope, credential_for(environment, scope.tenant_id))
