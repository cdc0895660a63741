"""The ControlPlane kind: waits for the API server, admits machines that come later, renews certificates."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from infra.kubernetes.api import ClusterApi
from infra.kubernetes.certificates import due, earliest, is_due
from infra.kubernetes.membership import admit_nodes
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import wait_until_answering
from infra.kvm.errors import HostError
from infra.plugin.operation import Operation
from infra.provider.kind import Changes, InitFailed, Kind, Made
from infra.provider.kinds.address_holders import tell, to_tell
from infra.provider.kinds.address_protocol import change_protocol
from infra.provider.kinds.certificate_ends import Ends, look, served
from infra.provider.kinds.cluster_base import Login, explain, logged_in
from infra.provider.kinds.node_images import bring, standing
from infra.provider.kinds.renewal import renew
from infra.provider.lives import ClusterRun, Leaver, Lives
from infra.provider.standing import Standing
from infra.resources.changes import Refused
from infra.resources.contract import OnChange
from infra.resources.control_plane import (
    CONTROL_PLANE,
    VRRP_VERSION,
    ControlPlaneInputs,
    ControlPlaneState,
    Member,
)
from infra.ssh import Shell
from infra.unknown import UNKNOWN

_READY_SECONDS: Final = 600


class ControlPlaneKind(Kind[ControlPlaneInputs, ControlPlaneState]):
    """The API server behind a cluster's address."""

    contract = CONTROL_PLANE

    def __init__(self, standing: Standing | None = None, lives: Lives | None = None) -> None:
        """Make the kind.

        Args:
            standing: What stands of an instance that is adopted.
            lives: The clusters that stay.
        """
        self._lives = lives or Lives()
        self._adopted = standing.with_nodes if standing else frozenset()

    def refine(self, state: Mapping[str, Any], news: Mapping[str, Any], changes: Changes, op: Operation) -> None:
        """See that control planes that are to go may go, before anything is changed.

        Those that speak VRRPv2 change to version 3, and certificates that end soon are renewed. When they end,
        state knows; of a cluster of 0.1.0 it is seen.
        """
        if changes.replaces():
            return
        if news["members"] != UNKNOWN:
            self._let_go(op, state, news)
        cluster = self._lives.of(f"{state['instance']}-{state['cluster']}")
        if cluster is not None and _is_rolling(cluster, state["version"]):
            changes.by_path["version"] = OnChange.UPDATE
        if state.get("vrrpVersion") != VRRP_VERSION:
            changes.by_path["vrrpVersion"] = OnChange.UPDATE
            op.info(
                f"the control planes of cluster {state['cluster']} are to hold its address by VRRPv3, by which "
                "a loss is noticed within a second, and not after four; the API is away for two seconds meanwhile"
            )
        end = _parsed(state.get("certificatesEnd")) or _first(op, ControlPlaneState.model_validate(state))
        if end is not None and is_due(end, datetime.now(UTC)):
            changes.by_path["certificatesEnd"] = OnChange.UPDATE
            op.warning(
                f"the certificates of cluster {state['cluster']} end on {end:%Y-%m-%d}: `up` renews them, one "
                "control plane after the other; each API server is away for the seconds of its restart"
            )

    def _let_go(self, op: Operation, state: Mapping[str, Any], news: Mapping[str, Any]) -> None:
        """Say which control planes leave; the first one that can't is why nothing is done.

        Raises:
            Refused: One can't leave.
        """
        names, leaving = _plane_names(state) - _plane_names(news), []
        for member in state["members"] if names else ():
            if member["name"] in names:
                leaving.append(Leaver(member["name"], "controlPlane", member["address"], member["sshHostKey"]))
        cluster = self._lives.of(f"{state['instance']}-{state['cluster']}")
        for leaver in leaving:
            if cluster is None:
                raise Refused(
                    f"{leaver.name} can't leave cluster {state['cluster']} in a run that leaves the cluster's "
                    "nodes out: run it without --target and --exclude"
                )
            if not cluster.absent and (
                objections := cluster.life.objections(op, leaver, "it isn't wanted any more")
            ):
                raise Refused(f"{leaver.name} can't leave cluster {state['cluster']}: {objections}")
            op.info(
                f"{leaver.name} leaves cluster {state['cluster']}: its pods and its vote in etcd, then its machine"
            )

    def create(self, op: Operation, inputs: ControlPlaneInputs) -> Made[ControlPlaneState]:
        """Wait until it answers, and let machines join that come late: the first run may have been long ago.

        Nodes that are adopted may be of an older bundle than the one whose add-ons come to them.
        """
        id = self.contract.id_of(inputs.to_wire())
        is_adopted = id in self._adopted
        state = _with_end(self._wait(op, inputs, None if is_adopted else VRRP_VERSION), None)
        if is_adopted:
            try:
                bring(op, inputs.members, inputs.archives, _login(inputs))
                planes = _planes(inputs.members)
                change_protocol(op, planes, planes, _login(inputs))
            except HostError as error:
                raise InitFailed(Made(id, state.model_copy(update={"images": []})), str(error)) from error
            state = state.model_copy(update={"vrrp_version": VRRP_VERSION})
        admit_nodes(ClusterApi(inputs.kubeconfig), inputs.token)
        return Made(id, state)

    def read(self, op: Operation, id: str, old: ControlPlaneState | None) -> ControlPlaneState | None:
        """Return what is known, and when certificates end: an API server that doesn't answer is down, not gone."""
        if old is None:
            return None
        planes = _planes(old.members)
        state = _noted(old, old, _known_ends(op, look(planes, old.kubeconfig, _login(old))))
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
        # A machine that is replaced gets new ones.
        stood = _planes(standing(old.members, inputs.members))
        ends, now = _known_ends(op, look(stood, inputs.kubeconfig, login)), datetime.now(UTC)
        late = due(ends, now)
        if late:
            ended = {name for name in late if ends[name] <= now}
            renew(op, inputs.kubeconfig, [planes[name] for name in late], login, ended)
            op = replace(op, started=time.monotonic())
        if inputs.images != old.images:
            bring(op, standing(old.members, inputs.members), inputs.archives, login)
        # Those that go hold the address with the others until they have gone, and then these are told.
        staying = {member.name for member in inputs.members}
        going = _planes(member for member in old.members if member.name not in staying)
        if old.vrrp_version == VRRP_VERSION:
            tell(op, planes.values(), to_tell(old.members, [*inputs.members, *going]), login)
            speak: int | None = VRRP_VERSION
        else:
            speak = _changed_protocol(op, [*stood, *going], [*planes.values(), *going], login)
        state = self._wait(op, inputs, speak)
        admit_nodes(ClusterApi(inputs.kubeconfig), inputs.token)
        cluster = self._lives.of(f"{inputs.instance}-{inputs.cluster}")
        if cluster is not None and (_is_rolling(cluster, old.version) or cluster.life.has_spare(op)):
            cluster.life.settle(op)
        return _with_end(state, old)

    def delete(self, op: Operation, id: str, old: ControlPlaneState) -> None:
        """Nothing to do: it goes with its machines."""

    def _wait(self, op: Operation, inputs: ControlPlaneInputs, speak: int | None) -> ControlPlaneState:
        """Wait until the API server answers; `speak` is the version of VRRP that its control planes speak.

        Raises:
            InitFailed: it doesn't answer in time; says where the machines' logs are.
        """
        api = ClusterApi(inputs.kubeconfig)
        try:
            answer = wait_until_answering(api, op.work(_READY_SECONDS))
        except NotReady as failure:
            state = ControlPlaneState(**inputs.model_dump(), version="", cluster_uid="", vrrp_version=speak)
            name = f"{inputs.instance}-{inputs.cluster}"
            raise InitFailed(
                self.made(state),
                explain(op, name, api, failure, ["kube-system"], inputs.members, inputs.identity_files),
            ) from failure
        return ControlPlaneState(
            **inputs.model_dump(),
            version=answer.version,
            cluster_uid=answer.cluster_uid,
            vrrp_version=speak,
        )


def _changed_protocol(
    op: Operation, stood: Collection[Member], planes: Collection[Member], login: Login
) -> int | None:
    """Return the version of VRRP that control planes speak now: one that can't change keeps no `up` from success.

    Raises:
        HostError: one can't, and others are to come, which speak the new version.
    """
    try:
        change_protocol(op, stood, planes, login)
    except HostError as error:
        if len(stood) < len(planes):
            raise
        op.warning(str(error))
        return None
    return VRRP_VERSION


def _is_rolling(cluster: ClusterRun, version: str) -> bool:
    """Return whether a cluster's version changes, in this run or in one that was interrupted.

    Args:
        cluster: The cluster.
        version: Of its API server, with the v, when it was last seen whole.
    """
    return cluster.rolls or bool(cluster.placement.version and version != f"v{cluster.placement.version}")


def _plane_names(values: Mapping[str, Any]) -> set[str]:
    return {member["name"] for member in values["members"] if member["role"] == "controlPlane"}


def _planes(members: Iterable[Member]) -> list[Member]:
    return [member for member in members if member.role == "controlPlane"]


def _login(inputs: ControlPlaneInputs) -> Login:
    def login(member: Member) -> AbstractContextManager[Shell]:
        return logged_in(member, inputs.identity_files)

    return login


def _known_ends(op: Operation, ends: Ends) -> Mapping[str, datetime]:
    """Return when certificates end, having said of whose this isn't known."""
    for name, why in ends.untold.items():
        op.warning(
            f"it isn't known when the certificates of {name} end: its API server doesn't answer, and the machine "
            f"can't be asked: {why}"
        )
    return ends.seen


def _first(op: Operation, state: ControlPlaneState) -> datetime | None:
    seen = _known_ends(op, look(_planes(state.members), state.kubeconfig, _login(state)))
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
