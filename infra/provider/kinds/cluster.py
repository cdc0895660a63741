"""The Cluster kind: waits until every node is Ready and every add-on available, and forgets nodes that left."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from infra.kubernetes.api import ClusterApi, ClusterError
from infra.kubernetes.generated_secrets import ensure_secret
from infra.kubernetes.membership import admit_nodes, cordon, dismiss_token, uncordon
from infra.kubernetes.node_marks import both, look_at_marks, mark_nodes
from infra.kubernetes.waiting import NotReady
from infra.kubernetes.watch import problems, wait_until_healthy
from infra.model.node import NodeMarks
from infra.plugin.operation import Operation
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.kinds.cluster_base import explain
from infra.provider.lives import Lives
from infra.resources.cluster import CLUSTER, ClusterInputs, ClusterState

_READY_SECONDS: Final = 600


class ClusterKind(Kind[ClusterInputs, ClusterState]):
    """A Kubernetes cluster as a whole."""

    contract = CLUSTER

    def __init__(self, lives: Lives | None = None) -> None:
        """Make the kind; `lives` are the clusters that stay."""
        self._lives = lives or Lives()

    def create(self, op: Operation, inputs: ClusterInputs) -> Made[ClusterState]:
        """Wait for everything."""
        state = self._wait(op, inputs, self._marks_before(inputs))
        return self.made(state)

    def read(self, op: Operation, id: str, old: ClusterState | None) -> ClusterState | None:
        """Return whether it is ready now, and what it lacks.

        Without its state, where its keys are, a cluster can't be looked at; `up` makes a new one.
        """
        if old is None:
            return None
        api, marks = ClusterApi(old.kubeconfig), dict(old.nodes)
        lacking = problems(api, _expected(old), old.namespaces)
        if lacking:  # the engine shows only that it isn't ready
            op.warning(f"cluster {old.instance}-{old.cluster} lacks: {'; '.join(lacking)}")
        with suppress(ClusterError):  # it is among the problems
            marks = look_at_marks(api, old.nodes)
        return old.model_copy(update={"nodes": marks, "ready": not lacking, "problems": lacking})

    def update(self, op: Operation, id: str, old: ClusterState, inputs: ClusterInputs) -> ClusterState:
        """Bring nodes their labels and taints, and wait for everything.

        Nodes whose machines go later in this run leave with them, and don't count.

        None of them takes pods any more, lest those that leave the first go to the second.
        """
        staying = {member.name for member in inputs.members}
        api = ClusterApi(inputs.kubeconfig)
        for member in old.members:
            if member.name not in staying:
                cordon(api, member.name)
        return self._wait(op, inputs, self._marks_before(old))

    def _marks_before(self, cluster: ClusterInputs) -> dict[str, NodeMarks]:
        """Return what azlocal wrote on nodes: at their registration, as their machines say, and since."""
        run = self._lives.of(f"{cluster.instance}-{cluster.cluster}")
        before = dict(cluster.nodes)
        for name, machine in run.machines.items() if run else ():
            if machine.marks is not None:
                before[name] = both(machine.marks, before.get(name, machine.marks))
        return before

    def delete(self, op: Operation, id: str, old: ClusterState) -> None:
        """Nothing to do: it goes with its machines."""

    def _wait(self, op: Operation, inputs: ClusterInputs, before: Mapping[str, NodeMarks]) -> ClusterState:
        """Wait for nodes and add-ons.

        Args:
            op: The operation.
            inputs: What is wanted.
            before: The labels and taints that azlocal wrote on nodes.

        Raises:
            InitFailed: something is missing at the end; says what, why, and where the logs are.
            ClusterError: Labels or taints of nodes can't be changed.
        """
        api, members = ClusterApi(inputs.kubeconfig), _expected(inputs)
        with suppress(ClusterError):  # then the add-ons' own controllers make them, later
            for secret in inputs.generated_secrets:
                ensure_secret(api, secret.namespace, secret.name, secret.key)
        with suppress(ClusterError):  # what a run that was interrupted began to drain, and stays
            for name in uncordon(api, members):
                op.info(f"{name} stays, and takes pods again")
        with suppress(ClusterError):  # before the wait: add-ons may go by them
            _mark(op, api, before, inputs)
        if inputs.token:
            with suppress(ClusterError):  # the wait says what is the matter
                if not members.keys() <= {node["metadata"]["name"] for node in api.items("/api/v1/nodes")}:
                    admit_nodes(api, inputs.token)
        try:
            wait_until_healthy(api, members, inputs.namespaces, op.work(_READY_SECONDS))
        except NotReady as failure:
            # What may stand there still is azlocal's to take away, in the next run.
            marks = {name: both(before.get(name, new), new) for name, new in inputs.nodes.items()}
            fields = inputs.model_dump() | {"ready": False, "problems": list(failure.reasons), "nodes": marks}
            state = ClusterState.model_validate(fields)
            name = f"{inputs.instance}-{inputs.cluster}"
            raise InitFailed(
                self.made(state),
                explain(op, name, api, failure, inputs.namespaces, inputs.members, inputs.identity_files),
            ) from failure
        _mark(op, api, before, inputs)  # of those that have joined meanwhile
        if inputs.token:
            with suppress(ClusterError):  # then it ends by itself, two hours later
                dismiss_token(api, inputs.token)
        return ClusterState(**inputs.model_dump())


def _mark(op: Operation, api: ClusterApi, before: Mapping[str, NodeMarks], inputs: ClusterInputs) -> None:
    if inputs.nodes and (names := mark_nodes(api, before, inputs.nodes)):
        op.info(f"{', '.join(names)}: labels and taints are as they are wanted")


def _expected(inputs: ClusterInputs) -> dict[str, float]:
    return {member.name: member.started for member in inputs.members}
