"""The FluxConfiguration kind: has Azure tell Flux what to keep a cluster equal to, and waits for its verdict."""

from __future__ import annotations

import time
from typing import Any, Final

from infra.arc.cluster_resources import FluxWanted, flux_body, kustomizations_of, problems_of, without_nothing
from infra.arc.errors import ArcError
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.kinds.arc_base import AzureSessions, arm_id, bounds, connection_of, remove_from_cluster
from infra.provider.operation import Operation
from infra.resources.azure_access import AzureAccess
from infra.resources.flux_configuration import (
    FLUX_CONFIGURATION,
    FluxConfigurationInputs,
    FluxConfigurationState,
    GitRepository,
    Kustomization,
)

_SECONDS: Final = 1200
_VERDICT_SECONDS: Final = 120.0  # a repository that Flux can't read yet is no reason to hold up the rest
_VERDICTS: Final = frozenset({"Compliant", "Non-Compliant", "Suspended"})
_PAUSE: Final = 2.0


class FluxConfigurationKind(Kind[FluxConfigurationInputs, FluxConfigurationState]):
    """A Flux configuration of a connected cluster."""

    contract = FLUX_CONFIGURATION

    def __init__(self, sessions: AzureSessions) -> None:
        self._sessions = sessions

    def create(self, op: Operation, inputs: FluxConfigurationInputs) -> Made[FluxConfigurationState]:
        """Make it; one that stands under the name is made what is wanted."""
        state = self._put(op, inputs)
        return Made(self.contract.id_of(state.to_wire()), state)

    def read(self, op: Operation, id: str, old: FluxConfigurationState | None) -> FluxConfigurationState | None:
        """Return what Azure says of it."""
        azure, parts = self._sessions.of(old.access if old else AzureAccess(), id)
        cluster = arm_id(parts.parent)
        body = azure.get_flux_configuration(cluster.name, parts.name)
        if body is None:
            return None
        if old is None:
            old = _imported(parts.parent, connection_of(azure, cluster.name), parts.name, body)
        return _observed(old, body)

    def update(
        self, op: Operation, id: str, old: FluxConfigurationState, inputs: FluxConfigurationInputs
    ) -> FluxConfigurationState:
        """Make it what is wanted."""
        return self._put(op, inputs)

    def delete(self, op: Operation, id: str, old: FluxConfigurationState) -> None:
        """Have the agents remove it and what it applied with `prune`; where they can't, Azure forgets it."""
        azure, parts = self._sessions.of(old.access, id)
        cluster = arm_id(parts.parent).name

        def delete(force: bool) -> None:
            azure.delete_flux_configuration(cluster, parts.name, force=force, **bounds(op, _SECONDS))

        remove_from_cluster(op, azure, cluster, f"Flux configuration {old.name}", delete)

    def _put(self, op: Operation, inputs: FluxConfigurationInputs) -> FluxConfigurationState:
        azure, cluster = self._sessions.of(inputs.access, inputs.cluster_id)
        body = flux_body(
            FluxWanted(
                inputs.namespace,
                inputs.scope,
                inputs.suspend,
                inputs.git_repository.to_wire(),
                {name: one.to_wire() for name, one in inputs.kustomizations.items()},
                inputs.configuration_protected_settings,
            )
        )
        wanted = FluxConfigurationState(**inputs.model_dump(by_alias=False), provisioning_state="Creating")
        try:
            found = azure.put_flux_configuration(cluster.name, inputs.name, body, **bounds(op, _SECONDS))
        except ArcError as error:
            stands = azure.get_flux_configuration(cluster.name, inputs.name)
            if stands is None:
                raise
            state = _observed(wanted, stands)
            listed = "".join(f"\n  - {one}" for one in state.problems)
            raise InitFailed(
                Made(self.contract.id_of(state.to_wire()), state),
                f"Flux configuration {inputs.name} isn't in place: {error}{listed}",
            ) from error
        return self._judged(op, _observed(wanted, found))

    def _judged(self, op: Operation, state: FluxConfigurationState) -> FluxConfigurationState:
        """Wait until Flux has a verdict, and say one that is bad: it is the repository's business, not ours."""
        azure, cluster = self._sessions.of(state.access, state.cluster_id)
        ends = min(op.deadline(_SECONDS), time.monotonic() + _VERDICT_SECONDS)
        while state.compliance_state not in _VERDICTS and time.monotonic() < ends:
            op.check_cancelled()
            op.status(f"waiting for Flux: {state.compliance_state or 'Pending'}")
            op.cancelled.wait(_PAUSE)
            body = azure.get_flux_configuration(cluster.name, state.name)
            if body is None:
                break
            state = _observed(state, body)
        if state.compliance_state not in {"Compliant", "Suspended"}:
            why = "; ".join(state.problems) or "Flux hasn't said anything yet"
            op.warning(f"Flux configuration {state.name} is {state.compliance_state or 'Pending'}: {why}")
        return state


def _observed(state: FluxConfigurationState, body: dict[str, Any]) -> FluxConfigurationState:
    said = body.get("properties") or {}
    source = {key: value for key, value in (said.get("gitRepository") or {}).items() if value is not None}
    known = {key: source[key] for key in state.git_repository.to_wire() if key in source}
    return state.model_copy(
        update={
            "namespace": str(said.get("namespace") or state.namespace),
            "scope": said.get("scope") or state.scope,
            "suspend": bool(said.get("suspend")),
            "git_repository": GitRepository.model_validate(known) if known else state.git_repository,
            "kustomizations": {
                name: _kustomization(one, state.kustomizations.get(name))
                for name, one in kustomizations_of(body).items()
            },
            "provisioning_state": str(said.get("provisioningState") or ""),
            "compliance_state": said.get("complianceState"),
            "source_synced_commit_id": said.get("sourceSyncedCommitId"),
            "problems": problems_of(body),
        }
    )


def _kustomization(found: dict[str, Any], ours: Kustomization | None) -> Kustomization:
    """Return ARM's kustomization, less what we can't say anything of."""
    known = {key: value for key, value in found.items() if key in Kustomization().to_wire()}
    defaults = without_nothing(ours.to_wire()) if ours else {}
    return Kustomization.model_validate(defaults | known)


def _imported(cluster_id: str, connection: str, name: str, body: dict[str, Any]) -> FluxConfigurationState:
    url = str(((body.get("properties") or {}).get("gitRepository") or {}).get("url") or "")
    return FluxConfigurationState(
        access=AzureAccess(),
        cluster_id=cluster_id,
        connection=connection,
        name=name,
        git_repository=GitRepository(url=url),
        provisioning_state="",
    )
