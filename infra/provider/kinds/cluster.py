"""The Cluster kind: waits until every node is Ready and every add-on available, and forgets nodes that left."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.generated_secrets import ensure_secret
from infra.kubernetes.membership import admit_nodes, announce_from, cordon, dismiss_token, uncordon
from infra.kubernetes.nodes import look_at_nodes
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import problems, wait_until_healthy
from infra.plugin.operation import Operation
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.kinds.cluster_base import explain
from infra.resources.cluster import CLUSTER, ClusterInputs, ClusterState

_READY_SECONDS: Final = 600


class ClusterKind(Kind[ClusterInputs, ClusterState]):
    """A Kubernetes cluster as a whole."""

    contract = CLUSTER

    def create(self, op: Operation, inputs: ClusterInputs) -> Made[ClusterState]:
        """Wait for everything."""
        state = self._wait(op, inputs)
        return self.made(state)

    def read(self, op: Operation, id: str, old: ClusterState | None) -> ClusterState | None:
        """Return whether it is ready now, and what it lacks.

        Without its state, where its keys are, a cluster can't be looked at; `up` makes a new one.
        """
        if old is None:
            return None
        lacking = problems(ClusterApi(old.kubeconfig), _expected(old), old.namespaces)
        if lacking:  # the engine shows only that it isn't ready
            op.warning(f"cluster {old.instance}-{old.cluster} lacks: {'; '.join(lacking)}")
        return old.model_copy(update={"ready": not lacking, "problems": lacking})

    def update(self, op: Operation, id: str, old: ClusterState, inputs: ClusterInputs) -> ClusterState:
        """Wait for everything; nodes whose machines go later in this run leave with them, and don't count.

        None of them takes pods any more, lest those that leave the first go to the second.
        """
        staying = {member.name for member in inputs.members}
        api = ClusterApi(inputs.kubeconfig)
        for member in old.members:
            if member.name not in staying:
                cordon(api, member.name)
        return self._wait(op, inputs)

    def delete(self, op: Operation, id: str, old: ClusterState) -> None:
        """Nothing to do: it goes with its machines."""

    def _wait(self, op: Operation, inputs: ClusterInputs) -> ClusterState:
        """Wait for nodes and add-ons.

        Raises:
            InitFailed: something is missing at the end; says what, why, and where the logs are.
        """
        api, members = ClusterApi(inputs.kubeconfig), _expected(inputs)
        with suppress(ClusterError):  # then the add-ons' own controllers make them, later
            for secret in inputs.generated_secrets:
                ensure_secret(api, secret.namespace, secret.name, secret.key)
        with suppress(ClusterError):  # what a run that was interrupted began to drain, and stays
            for name in uncordon(api, members):
                op.info(f"{name} stays, and takes pods again")
        if inputs.token:
            with suppress(ClusterError):  # the wait says what is the matter
                if not members.keys() <= {node["metadata"]["name"] for node in api.items("/api/v1/nodes")}:
                    admit_nodes(api, inputs.token)
        try:
            try:
                wait_until_healthy(api, members, inputs.namespaces, op.work(_READY_SECONDS))
            finally:
                _announce_from_all(api, members)
        except NotReady as failure:
            fields = inputs.model_dump() | {"ready": False, "problems": list(failure.reasons)}
            state = ClusterState.model_validate(fields)
            name = f"{inputs.instance}-{inputs.cluster}"
            raise InitFailed(
                self.made(state),
                explain(op, name, api, failure, inputs.namespaces, inputs.members, inputs.identity_files),
            ) from failure
        if inputs.token:
            with suppress(ClusterError):  # then it ends by itself, two hours later
                dismiss_token(api, inputs.token)
        return ClusterState(**inputs.model_dump())


def _announce_from_all(api: ClusterApi, members: Iterable[str]) -> None:
    """Let services be announced from workers that have joined, be the rest of the cluster healthy or not."""
    with suppress(ClusterError):
        nodes = look_at_nodes(api)
        for name in nodes.keys() & set(members):
            if nodes[name].may_announce:
                announce_from(api, name)


def _expected(inputs: ClusterInputs) -> dict[str, float]:
    return {member.name: member.started for member in inputs.members}
