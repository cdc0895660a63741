"""The ArcRegistration kind: takes Azure's side of a connection away when the cluster goes as a whole."""

from __future__ import annotations

from typing import Final

from infra.arc.errors import AzureUnreachable
from infra.plugin.operation import Operation
from infra.provider.kind import Kind, Made
from infra.provider.kinds.arc_base import AzureSessions
from infra.resources.arc_registration import ARC_REGISTRATION, ArcRegistrationInputs

_SECONDS: Final = 900


class ArcRegistrationKind(Kind[ArcRegistrationInputs, ArcRegistrationInputs]):
    """A connected cluster's resource in Azure."""

    contract = ARC_REGISTRATION

    def __init__(self, sessions: AzureSessions) -> None:
        self._sessions = sessions

    def create(self, op: Operation, inputs: ArcRegistrationInputs) -> Made[ArcRegistrationInputs]:
        """Nothing to make: the connected cluster is made with the agents' key."""
        return self.made(inputs)

    def read(self, op: Operation, id: str, old: ArcRegistrationInputs | None) -> ArcRegistrationInputs | None:
        """Return what is known; how the connection stands, the connected cluster tells."""
        return old

    def update(
        self, op: Operation, id: str, old: ArcRegistrationInputs, inputs: ArcRegistrationInputs
    ) -> ArcRegistrationInputs:
        """Nothing of it can be changed."""
        return inputs

    def delete(self, op: Operation, id: str, old: ArcRegistrationInputs) -> None:
        """Delete the resource with all that Azure has on it; success when it already is gone.

        Raises:
            AzureUnreachable: Azure doesn't answer; forgotten here, the resource would stay there for good.
        """
        try:
            azure = self._sessions.session(old.access, old.subscription_id, old.resource_group)
            if azure.get_cluster(old.name) is not None:
                op.status("deleting the connected cluster in Azure")
                azure.delete_cluster(old.name, force=True, work=op.work(_SECONDS))
        except AzureUnreachable as error:
            raise AzureUnreachable(
                error.rule,
                f"connected cluster {old.name} can't be deleted in Azure: {error.message}",
                f"run again once Azure answers; or forget it with `pulumi state delete '{op.urn}' "
                "--target-dependents`, and it stays in Azure until somebody deletes it there",
            ) from error
