"""The FluxConfiguration kind: has Azure tell Flux what to keep a cluster equal to, and waits for its verdict."""

from __future__ import annotations

from typing import Any, Final

from infra.arc.azure import Azure
from infra.arc.cluster_resources import FluxWanted, flux_body, kustomizations_of, problems_of, without_nothing
from infra.model.work import Work
from infra.plugin.operation import Operation
from infra.provider.kinds.on_cluster import SECONDS, OnClusterKind
from infra.resources.flux_configuration import (
    FLUX_CONFIGURATION,
    FluxConfigurationInputs,
    FluxConfigurationState,
    GitRepository,
    Kustomization,
)
from infra.resources.on_cluster import OnCluster

_VERDICT_SECONDS: Final = 120.0  # a repository that Flux can't read yet is no reason to hold up the rest
_VERDICTS: Final = frozenset({"Compliant", "Non-Compliant", "Suspended"})
_PAUSE: Final = 2.0


class FluxConfigurationKind(OnClusterKind[FluxConfigurationInputs, FluxConfigurationState]):
    """A Flux configuration of a connected cluster."""

    contract = FLUX_CONFIGURATION
    what = "Flux configuration"
    fault = "isn't in place"

    def get(self, azure: Azure, cluster: str, name: str) -> dict[str, Any] | None:
        """Return what Azure has of it."""
        return azure.get_flux_configuration(cluster, name)

    def send(self, azure: Azure, cluster: str, inputs: FluxConfigurationInputs, work: Work) -> dict[str, Any]:
        """Have Flux told."""
        body = flux_body(
            FluxWanted(
                inputs.namespace,
                inputs.scope,
                inputs.suspend,
                inputs.git_repository.to_wire(),
                {name: kustomization.to_wire() for name, kustomization in inputs.kustomizations.items()},
                inputs.configuration_protected_settings,
            )
        )
        return azure.put_flux_configuration(cluster, inputs.name, body, work=work)

    def put(self, op: Operation, inputs: FluxConfigurationInputs) -> FluxConfigurationState:
        """Send it, wait, and then for Flux's verdict."""
        return self._judged(op, super().put(op, inputs))

    def remove(self, azure: Azure, cluster: str, name: str, *, force: bool, work: Work) -> None:
        """Have it removed, with what it applied with `prune`."""
        azure.delete_flux_configuration(cluster, name, force=force, work=work)

    def wanted(self, inputs: FluxConfigurationInputs) -> FluxConfigurationState:
        """Return the state of one that is being made."""
        return FluxConfigurationState(**inputs.model_dump(), provisioning_state="Creating")

    def imported(self, about: OnCluster, body: dict[str, Any]) -> FluxConfigurationState:
        """Return the state of one that nothing is known of but what Azure has."""
        url = str(((body.get("properties") or {}).get("gitRepository") or {}).get("url") or "")
        return FluxConfigurationState(
            **about.model_dump(),
            git_repository=GitRepository(url=url),
            provisioning_state="",
        )

    def observed(self, state: FluxConfigurationState, body: dict[str, Any]) -> FluxConfigurationState:
        """Return the state with what Azure says now."""
        properties = body.get("properties") or {}
        source = {
            key: value for key, value in (properties.get("gitRepository") or {}).items() if value is not None
        }
        known = {key: source[key] for key in state.git_repository.to_wire() if key in source}
        return state.model_copy(
            update={
                "namespace": str(properties.get("namespace") or state.namespace),
                "scope": properties.get("scope") or state.scope,
                "suspend": bool(properties.get("suspend")),
                "git_repository": GitRepository.model_validate(known) if known else state.git_repository,
                "kustomizations": {
                    name: _kustomization(kustomization, state.kustomizations.get(name))
                    for name, kustomization in kustomizations_of(body).items()
                },
                "provisioning_state": str(properties.get("provisioningState") or ""),
                "compliance_state": properties.get("complianceState"),
                "source_synced_commit_id": properties.get("sourceSyncedCommitId"),
                "problems": problems_of(body),
            }
        )

    def _judged(self, op: Operation, state: FluxConfigurationState) -> FluxConfigurationState:
        """Wait until Flux has a verdict, and say one that is bad: it is the repository's business, not ours."""
        azure, cluster = self._sessions.of(state.access, state.cluster_id)
        work = op.work(SECONDS).within(_VERDICT_SECONDS)
        while state.compliance_state not in _VERDICTS and work.remaining:
            doing = f"waiting for Flux: {state.compliance_state or 'Pending'}"
            work.status(doing)
            work.wait(_PAUSE, doing)
            body = self.get(azure, cluster.name, state.name)
            if body is None:
                break
            state = self.observed(state, body)
        if state.compliance_state not in {"Compliant", "Suspended"}:
            why = "; ".join(state.problems) or "Flux hasn't said anything yet"
            op.warning(f"Flux configuration {state.name} is {state.compliance_state or 'Pending'}: {why}")
        return state


def _kustomization(theirs: dict[str, Any], ours: Kustomization | None) -> Kustomization:
    """Return ARM's kustomization, less what we can't say anything of."""
    known = {key: value for key, value in theirs.items() if key in Kustomization().to_wire()}
    defaults = without_nothing(ours.to_wire()) if ours else {}
    return Kustomization.model_validate(defaults | known)
