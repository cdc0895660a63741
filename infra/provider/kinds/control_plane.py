"""The ControlPlane kind: waits for the API server, admits machines that come later, renews certificates."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from infra.kubernetes.api import ClusterApi
from infra.kubernetes.certificates import due, earliest, is_due
from infra.kubernetes.membership import admit_nodes
from infra.kubernetes.watch import NotHealthy, wait_until_answering
from infra.kvm.errors import HostError
from infra.provider.kind import Changes, InitFailed, Kind, Made
from infra.provider.kinds.address_holders import tell, to_tell
from infra.provider.kinds.certificate_ends import Ends, look, served
from infra.provider.kinds.cluster_base import Login, explain, logged_in
from infra.provider.kinds.node_images import bring, standing
from infra.provider.kinds.renewal import renew
from infra.provider.operation import Operation
from infra.provider.standing import Standing
from infra.resources.changes.machine import keep_planes
from infra.resources.contract import OnChange
from infra.resources.control_plane import CONTROL_PLANE, ControlPlaneInputs, ControlPlaneState, Member
from infra.ssh import Shell
from infra.unknown import UNKNOWN

_READY_SECONDS: Final = 600


class ControlPlaneKind(Kind[ControlPlaneInputs, ControlPlaneState]):
    """The API server behind a cluster's address."""

    contract = CONTROL_PLANE

    def __init__(self, standing: Standing | None = None) -> None:
        """Make the kind; `standing` is what stands of an instance that is adopted."""
        self._adopted = standing.with_nodes if standing else frozenset()

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """Refuse to give up control planes before one of them is told that it is alone; have certificates renewed.

        When these end, state knows; of a cluster of 0.1.0 it is seen.
        """
        if changes.replaces():
            return
        if news["members"] != UNKNOWN:
            keep_planes(state["cluster"], _plane_names(state) - _plane_names(news))
        end = _parsed(state.get("certificatesEnd")) or _first(op, ControlPlaneState.model_validate(state))
        if end is not None and is_due(end, datetime.now(UTC)):
            changes.by_path["certificatesEnd"] = OnChange.UPDATE
            op.warning(
                f"the certificates of cluster {state['cluster']} end on {end:%Y-%m-%d}: `up` renews them, one "
                "control plane after the other; each API server is away for the seconds of its restart"
            )

    def create(self, op: Operation, inputs: ControlPlaneInputs) -> Made[ControlPlaneState]:
        """Wait until it answers, and let machines join that come late: the first run may have been long ago.

        Nodes that are adopted may be of an older bundle than the one whose add-ons come to them.
        """
        state = _with_end(self._wait(op, inputs), None)
        id = self.contract.id_of(state.to_wire())
        if id in self._adopted:
            try:
                bring(op, inputs.members, inputs.archives, _login(inputs))
            except HostError as error:
                lacking = state.model_copy(update={"images": []})
                raise InitFailed(Made(id, lacking), str(error)) from error
        admit_nodes(ClusterApi(inputs.kubeconfig), inputs.token)
        return Made(id, state)

    def read(self, op: Operation, id: str, old: ControlPlaneState | None) -> ControlPlaneState | None:
        """Return what is known, and when certificates end: an API server that doesn't answer is down, not gone."""
        if old is None:
            return None
        planes = _planes(old.members)
        state = _noted(old, old, _told(op, look(planes, old.kubeconfig, _login(old))))
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
        login = _login(inputs)
        planes = {member.name: member for member in _planes(inputs.members)}
        # A machine that is made anew gets new ones.
        stood = _planes(standing(old.members, inputs.members))
        late = due(_told(op, look(stood, inputs.kubeconfig, login)), datetime.now(UTC))
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


def _plane_names(values: Mapping[str, Any]) -> set[str]:
    return {member["name"] for member in values["members"] if member["role"] == "controlPlane"}


def _planes(members: Iterable[Member]) -> list[Member]:
    return [member for member in members if member.role == "controlPlane"]


def _login(inputs: ControlPlaneInputs) -> Login:
    def login(member: Member) -> AbstractContextManager[Shell]:
        return logged_in(member, inputs.identity_files)

    return login


def _told(op: Operation, ends: Ends) -> Mapping[str, datetime]:
    """Return when certificates end, having said of whose this isn't known."""
    for name, why in ends.untold.items():
        op.warning(
            f"it isn't known when the certificates of {name} end: its API server doesn't answer, and the machine "
            f"can't be asked: {why}"
        )
    return ends.seen


def _first(op: Operation, state: ControlPlaneState) -> datetime | None:
    seen = _told(op, look(_planes(state.members), state.kubeconfig, _login(state)))
    return earliest(None, seen, ())


def _with_end(state: ControlPlaneState, known: ControlPlaneState | None) -> ControlPlaneState:
    """Return the state with when its first certificate ends, as it is served now."""
    return _noted(state, known, served(_planes(state.members), state.kubeconfig))


def _noted(
    state: ControlPlaneState, known: ControlPlaneState | None, seen: Mapping[str, datetime]
) -> ControlPlaneState:
    before = _parsed(known.certificates_end) if known else None
    end = earliest(before, seen, [member.name for member in _planes(state.members)])
    return state.model_copy(update={"certificates_end": end.isoformat() if end else None})


def _parsed(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
