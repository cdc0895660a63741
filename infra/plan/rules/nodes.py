"""Nodes: labels and taints that kubelet and the API server take, and room for what every cluster runs.

Kubelet refuses to start with a label that it may not set, and never registers with a taint that the API server
refuses: `up` would wait for a node that never comes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.node_labels import SET_BY_KUBELET
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.node_settings import LABEL_KEY, LABEL_VALUE, Taint, key_fault, near_taint, parse_taint, value_fault
from infra.spec.stack import AgentPool, ClusterSpec

_SYNTAX = "Kubernetes: apimachinery util/validation"
_KUBELET = "Kubernetes: kubelet ValidateKubeletFlags, NodeRestriction"
_TAINTS = "Kubernetes: core validateNodeTaints"

# k8s.io/kubelet pkg/apis/well_known_labels.go: what kubelets may set on their own node.
_KUBERNETES_DOMAINS = ("kubernetes.io", "k8s.io")
_OPEN_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBELET_LABELS = SET_BY_KUBELET | {
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
}
_AKS_DOMAIN = "kubernetes.azure.com"  # AKS: use-labels.md, reserved prefixes
# pkg/controller/nodelifecycle: the controller sets and removes these as the node's conditions are.
_SET_BY_CONTROLLER = frozenset(
    f"node.kubernetes.io/{name}"
    for name in (
        *("not-ready", "unreachable", "unschedulable", "network-unavailable"),
        *("memory-pressure", "disk-pressure", "pid-pressure"),
    )
)


def _pools(facts: Facts) -> Iterator[tuple[KeyPath, ClusterSpec, AgentPool]]:
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            yield (*path, "agentPools", number), cluster, pool


@rule("node-label-invalid", source=_SYNTAX)
def node_label_invalid(facts: Facts) -> Iterator[Fault]:
    """A node's label has a key and a value as Kubernetes writes them."""
    for path, _, pool in _pools(facts):
        for key, value in pool.node_labels.items():
            fault, form = key_fault(key), LABEL_KEY
            if fault is None:
                fault, form = value_fault(value), LABEL_VALUE
            if fault:
                message = f"label of pool {pool.name}: {fault}"
                yield Fault("stack", (*path, "nodeLabels", key), message, f"write it as {form.example}")


@rule("node-label-forbidden", source=_KUBELET)
def node_label_forbidden(facts: Facts) -> Iterator[Fault]:
    """Of the labels under kubernetes.io and k8s.io a node has only those that kubelet may set."""
    for path, _, pool in _pools(facts):
        for key in pool.node_labels:
            if key_fault(key) is None and _is_forbidden(key):
                name = key.rpartition("/")[2]
                message = (
                    f"label {shown(key)} of pool {pool.name}: kubelet doesn't start with it, for it may set few "
                    "labels under kubernetes.io and k8s.io"
                )
                remedy = (
                    f"write example.com/{name}, with a prefix of your own, or node.kubernetes.io/{name}; where "
                    "it must be this key, set it with `kubectl label node` once the cluster stands"
                )
                yield Fault("stack", (*path, "nodeLabels", key), message, remedy)


@rule("node-label-overwrites", source="Kubernetes: kubelet initialNode; AKS: reserved labels", severity="warning")
def node_label_overwrites(facts: Facts) -> Iterator[Fault]:
    """A label isn't one that kubelet, azlocal or AKS gives the node by itself."""
    for path, _, pool in _pools(facts):
        for key in pool.node_labels:
            domain = key.rpartition("/")[0]
            if key in SET_BY_KUBELET:
                whose = "kubelet's own, which storage and scheduling go by; this overwrites it on every node"
            elif domain == _AKS_DOMAIN or domain.endswith(f".{_AKS_DOMAIN}"):
                whose = f"one of AKS's own: Azure refuses labels of people's own under {_AKS_DOMAIN}"
            else:
                continue
            message = f"label {shown(key)} of pool {pool.name} is {whose}"
            yield Fault("stack", (*path, "nodeLabels", key), message, "remove it, or use a prefix of your own")


@rule("node-taint-invalid", source=f"{_SYNTAX}; {_TAINTS}")
def node_taint_invalid(facts: Facts) -> Iterator[Fault]:
    """A node's taint is `key=value:Effect` or `key:Effect`, as Kubernetes writes keys, values and effects."""
    for path, _, pool in _pools(facts):
        for number, text in enumerate(pool.node_taints):
            try:
                parse_taint(text)
            except ValueError as error:
                message = f"taint of pool {pool.name}: {error}"
                remedy = f"write it as {near_taint(text)}"
                yield Fault("stack", (*path, "nodeTaints", number), message, remedy)


@rule("node-taint-twice", source=_TAINTS)
def node_taint_twice(facts: Facts) -> Iterator[Fault]:
    """A node has one taint of a key and an effect."""
    for path, _, pool in _pools(facts):
        seen: dict[tuple[str, str], Taint] = {}
        for number, taint in _taints(pool):
            first = seen.setdefault((taint.key, taint.effect), taint)
            if first is not taint:
                message = f"taints {first} and {taint} of pool {pool.name} have one key and one effect"
                yield Fault("stack", (*path, "nodeTaints", number), message, "keep one of the two")


@rule("node-taint-taken-away", source="Kubernetes: nodelifecycle controller", severity="warning")
def node_taint_taken_away(facts: Facts) -> Iterator[Fault]:
    """A taint isn't one that Kubernetes itself sets and removes as a node's state changes."""
    for path, _, pool in _pools(facts):
        for number, taint in _taints(pool):
            if taint.key in _SET_BY_CONTROLLER:
                message = f"taint {taint} of pool {pool.name}: Kubernetes removes it once a node is well"
                remedy = "use a key of your own, such as example.com/dedicated"
                yield Fault("stack", (*path, "nodeTaints", number), message, remedy)


@rule("pods-without-node", source="azlocal", severity="warning")
def pods_without_node(facts: Facts) -> Iterator[Fault]:
    """Pods of every cluster that don't run on control planes have a pool without taints that keep them away."""
    for path, cluster in facts.clusters:
        pools = [[taint for _, taint in _taints(pool) if taint.keeps_away] for pool in cluster.agent_pools]
        if cluster.provisioning != "kubernetes" or not pools or not all(pools):
            continue
        left = [pods for pods in _system_pods(facts, cluster) if not any(map(pods.tolerates, pools))]
        if left:
            named = ", ".join(pods.name for pods in left[:-1]) + " and " * (len(left) > 1) + left[-1].name
            message = (
                f"every pool of cluster {cluster.name} has taints, and {named} tolerate{'s' * (len(left) == 1)} "
                "none of them: no node takes such pods, and `up` waits for them in vain"
            )
            keys = " and ".join(pods.key for pods in left if pods.key)
            tolerant = f", or give them tolerations: {keys}" if keys else ""
            remedy = f"leave one pool without taints, or with PreferNoSchedule{tolerant}"
            yield Fault("stack", (*path, "agentPools"), message, remedy)


@dataclass(frozen=True, slots=True)
class _Pods:
    """Pods that every cluster has, and which no control plane takes.

    Attributes:
        name: What people know them by.
        key: The key of their tolerations in the stack's file; empty where there is none.
        tolerations: Their tolerations, as people wrote them.
    """

    name: str
    key: str
    tolerations: Sequence[Any]

    def tolerates(self, taints: Sequence[Taint]) -> bool:
        """Tell whether they can run where these taints are, by the scheduler's rule (TaintToleration)."""
        return all(any(_tolerates(toleration, taint) for toleration in self.tolerations) for taint in taints)


def _system_pods(facts: Facts, cluster: ClusterSpec) -> Iterator[_Pods]:
    """Yield the pods that no control plane takes; CoreDNS and Calico's tolerate its taint and run there."""
    if cluster.add_ons.metallb.enabled:
        values = cluster.add_ons.metallb.values.get("controller")
        key = "addOns.metallb.values.controller.tolerations"
        yield _Pods("MetalLB's controller", key, _tolerations(values))
    values = cluster.add_ons.local_path_provisioner.values
    key = "addOns.localPathProvisioner.values.tolerations"
    yield _Pods("the local-path provisioner", key, _tolerations(values))
    arc = facts.spec.stack.arc
    if arc is not None and arc.cloud != "emulator" and cluster.arc.enabled:  # the emulator's run on control planes
        yield _Pods("the Arc agents", "", ())
    if (
        arc is not None
        and cluster.arc.enabled
        and any(extension.is_flux for extension in cluster.arc.all_extensions())
    ):
        yield _Pods("Flux's controllers", "", ())


def _tolerations(values: object) -> Sequence[Any]:
    tolerations = values.get("tolerations") if isinstance(values, Mapping) else None
    return tolerations if isinstance(tolerations, list) else ()


def _tolerates(toleration: object, taint: Taint) -> bool:
    """Tell whether a toleration matches a taint (k8s.io/api core/v1 toleration.go ToleratesTaint)."""
    if not isinstance(toleration, Mapping) or toleration.get("effect") not in (None, "", taint.effect):
        return False
    if toleration.get("key") not in (None, "", taint.key):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == taint.value


def _taints(pool: AgentPool) -> Iterator[tuple[int, Taint]]:
    """Yield the taints that can be read, each with its place in the list."""
    for number, text in enumerate(pool.node_taints):
        try:
            yield number, parse_taint(text)
        except ValueError:
            continue  # node-taint-invalid says it


def _is_forbidden(key: str) -> bool:
    domain = key.rpartition("/")[0]
    if not _is_within(domain, _KUBERNETES_DOMAINS):
        return False
    return key not in _KUBELET_LABELS and not _is_within(domain, _OPEN_DOMAINS)


def _is_within(domain: str, domains: Sequence[str]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in domains)
