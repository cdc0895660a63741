"""The ControlPlane kind: waits for the API server, admits machines that come later, renews certificates."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from infra.kubernetes.api import ClusterApi
from infra.kubernetes.certificates import authority_of, due, earliest, ends_of, is_due
from infra.kubernetes.membership import admit_nodes
from infra.kubernetes.watch import NotHealthy, wait_until_answering
from infra.provider.kind import Changes, InitFailed, Kind, Made
from infra.provider.kinds.address_holders import tell, to_tell
from infra.provider.kinds.cluster_base import explain, logged_in
from infra.provider.kinds.node_images import bring, standing
from infra.provider.kinds.renewal import renew
from infra.provider.operation import Operation
from infra.resources.contract import OnChange
from infra.resources.control_plane import CONTROL_PLANE, ControlPlaneInputs, ControlPlaneState, Member
from infra.ssh import Shell

_READY_SECONDS: Final = 600


class ControlPlaneKind(Kind[ControlPlaneInputs, ControlPlaneState]):
    """The API server behind a cluster's address."""

    contract = CONTROL_PLANE

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Have certificates renewed that end soon; state knows when they do, or, of 0.1.0, it is seen."""
        if changes.replaces():
            return
        end = _parsed(state.get("certificatesEnd")) or _seen(ControlPlaneState.model_validate(state))
        if end is not None and is_due(end, datetime.now(UTC)):
            changes.by_path["certificatesEnd"] = OnChange.UPDATE
            op.warning(
                f"the certificates of cluster {state['cluster']} end on {end:%Y-%m-%d}: `up` renews them, one "
                "control plane after the other; each API server is away for the seconds of its restart"
            )

    def create(self, op: Operation, inputs: ControlPlaneInputs) -> Made[ControlPlaneState]:
        """Wait until it answers, and let machines join that come late: the first run may have been long ago."""
        state = _with_end(self._wait(op, inputs), None)
        admit_nodes(ClusterApi(inputs.kubeconfig), inputs.token)
        return Made(self.contract.id_of(state.to_wire()), state)

    def read(self, op: Operation, id: str, old: ControlPlaneState | None) -> ControlPlaneState | None:
        """Return what is known, and when certificates end: an API server that doesn't answer is down, not gone."""
        if old is None:
            return None
        state = _with_end(old, old)
        end = _parsed(state.certificates_end)
        if end is not None and is_due(end, datetime.now(UTC)):
            op.warning(
                f"the certificates of cluster {old.cluster} end on {end:%Y-%m-%d}; the next `up` renews them"
            )
        return state

    def update(
        self, op: Operation, id: str, old: ControlPlaneState, inputs: ControlPlaneInputs
    ) -> ControlPlaneState:
        """Renew certificates that end soon, bring nodes a newer bundle's images, let machines join."""

        def login(member: Member) -> AbstractContextManager[Shell]:
            return logged_in(member, inputs.identity_files)

        planes = {member.name: member for member in _planes(inputs.members)}
        late = due(_ends(inputs), datetime.now(UTC))
        if late:
            renew(op, inputs.kubeconfig, [planes[name] for name in late], login)
            op = replace(op, started=time.monotonic())
        if inputs.images != old.images:
            bring(op, standing(old.members, inputs.members), inputs.archives, login)
        tell(op, planes.values(), to_tell(old.members, inputs.members), login)
        state = self._wait(op, inputs)
        admit_nodes(ClusterApi(inputs.kubeconfig), inputs.token)
        return _with_end(state, old)

    def delete(self, op: Operation, id: str, old: ControlPlaneState) -> None:
        """Nothing to do: it goes with its machines."""

    def _wait(self, op: Operation, inputs: ControlPlaneInputs) -> ControlPlaneState:
        """Wait until the API server answers.

        Raises:
            InitFailed: it doesn't answer in time; says where the machines' logs are.
        """
        api = ClusterApi(inputs.kubeconfig)
        try:
            answer = wait_until_answering(
                api, deadline=op.deadline(_READY_SECONDS), cancelled=op.cancelled, status=op.status
            )
        except NotHealthy as failure:
            state = ControlPlaneState(**inputs.model_dump(), version="", cluster_uid="")
            name = f"{inputs.instance}-{inputs.cluster}"
            raise InitFailed(
                Made(self.contract.id_of(state.to_wire()), state),
                explain(op, name, api, failure, ["kube-system"], inputs.members, inputs.identity_files),
            ) from failure
        return ControlPlaneState(**inputs.model_dump(), version=answer.version, cluster_uid=answer.cluster_uid)


def _planes(members: Iterable[Member]) -> list[Member]:
    return [member for member in members if member.role == "controlPlane"]


def _ends(inputs: ControlPlaneInputs) -> dict[str, datetime]:
    addresses = {member.name: member.address for member in _planes(inputs.members)}
    return ends_of(addresses, authority_of(inputs.kubeconfig))


def _seen(state: ControlPlaneState) -> datetime | None:
    return earliest(None, _ends(state), ())


def _with_end(state: ControlPlaneState, known: ControlPlaneState | None) -> ControlPlaneState:
    """Return the state with when its first certificate ends, as it is seen now."""
    before = _parsed(known.certificates_end) if known else None
    end = earliest(before, _ends(state), [member.name for member in _planes(state.members)])
    return state.model_copy(update={"certificates_end": end.isoformat() if end else None})


def _parsed(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
