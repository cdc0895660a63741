"""Pod and service networks: large enough, and where AKS wants them (azure_local_facts.md §2.4-2.5).

What kubeadm itself refuses is taken from k8s.io/kubernetes v1.34.4 cmd/kubeadm: apis/kubeadm/validation and
constants. tests/guest/test_kubernetes_accepts.py asks the bundle's kubeadm the same.
"""

from collections.abc import Iterator
from ipaddress import IPv4Interface

from infra.counting import counted
from infra.plan.addresses.numbers import overlap
from infra.plan.rules.base import Facts, Fault, rule
from infra.plan.rules.ranges import RESERVED, span_of
from infra.spec.findings import KeyPath
from infra.spec.stack import DEFAULT_MAX_PODS, ClusterSpec

SERVICE_CIDR = "10.96.0.0/12"
NODE_PREFIX_LENGTH = 24  # what Kubernetes cuts out of the pod network for each node
LARGEST_POD_NETWORK = NODE_PREFIX_LENGTH - 16  # PodSubnetNodeMaskMaxDiff
LARGEST_SERVICE_NETWORK = 32 - 20  # MaximumBitsForServiceSubnet
SMALLEST_SERVICE_NETWORK = 28  # MinimumAddressesInServiceSubnet: 10, for DNS has the tenth


def _most_pods(cluster: ClusterSpec) -> int:
    planes = max(0, cluster.control_plane.count) * DEFAULT_MAX_PODS
    return planes + sum(pool.planned_nodes * max(0, pool.max_pods) for pool in cluster.agent_pools)


@rule("pod-cidr-refused", source="kubeadm ValidatePodSubnetNodeMask")
def pod_cidr_refused(facts: Facts) -> Iterator[Fault]:
    """The pod network has the size that kubeadm takes: one to 65,536 times a node's /24."""
    for path, cluster in _made_here(facts):
        cidr = cluster.network_profile.pod_cidr.network
        message = f"podCidr {cidr} of cluster {cluster.name}"
        if cidr.prefixlen > NODE_PREFIX_LENGTH:
            message = f"{message} is smaller than the /{NODE_PREFIX_LENGTH} that Kubernetes gives each node"
            remedy = f"use a /{_needed_length(cluster)} or larger"
        elif cidr.prefixlen < LARGEST_POD_NETWORK:
            message = f"{message} is more than kubeadm cuts into /{NODE_PREFIX_LENGTH} for nodes"
            remedy = f"use a /{LARGEST_POD_NETWORK} or smaller"
        else:
            continue
        yield Fault("stack", (*path, "networkProfile", "podCidr"), message, remedy)


@rule("service-cidr-refused", source="kubeadm ValidateIPNetFromString, ValidateServiceSubnetSize")
def service_cidr_refused(facts: Facts) -> Iterator[Fault]:
    """The service network has the size that kubeadm takes: a /12 to a /28."""
    for path, cluster in _made_here(facts):
        cidr = cluster.network_profile.service_cidr.network
        if not LARGEST_SERVICE_NETWORK <= cidr.prefixlen <= SMALLEST_SERVICE_NETWORK:
            sizes = f"a /{LARGEST_SERVICE_NETWORK} to a /{SMALLEST_SERVICE_NETWORK}"
            message = f"serviceCidr {cidr} of cluster {cluster.name} is a /{cidr.prefixlen}; kubeadm takes {sizes}"
            remedy = f"leave it out, which is {SERVICE_CIDR}, or use {sizes}"
            yield Fault("stack", (*path, "networkProfile", "serviceCidr"), message, remedy)


@rule("pod-cidr-too-small", source="IP")
def pod_cidr_too_small(facts: Facts) -> Iterator[Fault]:
    """The pod network holds the most pods that all nodes, grown to their most, can have."""
    for path, cluster in facts.clusters:
        cidr = cluster.network_profile.pod_cidr
        size, pods = cidr.network.num_addresses, _most_pods(cluster)
        if pods > size:
            message = (
                f"podCidr {cidr.network} of cluster {cluster.name} has {counted(size, 'address')}; maxPods times "
                f"nodes is {pods} ({counted(cluster.planned_nodes, 'node')})"
            )
            length = _needed_length(cluster)
            larger = f"use a /{length} or larger, " if length >= LARGEST_POD_NETWORK else "use "
            remedy = f"{larger}fewer nodes or a lower maxPods"
            yield Fault("stack", (*path, "networkProfile", "podCidr"), message, remedy)


@rule("pod-cidr-node-blocks", source="§2.4", severity="warning")
def pod_cidr_node_blocks(facts: Facts) -> Iterator[Fault]:
    """The pod network has a /24 for each node and for the one that joins in an upgrade."""
    for path, cluster in facts.clusters:
        cidr, nodes = cluster.network_profile.pod_cidr, cluster.planned_nodes + 1
        blocks = cidr.network.num_addresses >> (32 - NODE_PREFIX_LENGTH)
        if blocks and _most_pods(cluster) <= cidr.network.num_addresses and nodes > blocks:
            message = (
                f"podCidr {cidr.network} of cluster {cluster.name} has {counted(blocks, 'block')} of "
                f"/{NODE_PREFIX_LENGTH}; Kubernetes gives one to each of {counted(nodes, 'node')}, the upgrade's "
                "included"
            )
            remedy = f"use a /{_needed_length(cluster)} or larger"
            yield Fault("stack", (*path, "networkProfile", "podCidr"), message, remedy)


@rule("max-pods-per-block", source="§2.4", severity="warning")
def max_pods_per_block(facts: Facts) -> Iterator[Fault]:
    """A node's pods fit into its /24."""
    most = (1 << (32 - NODE_PREFIX_LENGTH)) - 2
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            if pool.max_pods > most:
                message = f"maxPods {pool.max_pods} in pool {pool.name}; a node's /{NODE_PREFIX_LENGTH} has {most}"
                yield Fault("stack", (*path, "agentPools", number, "maxPods"), message, f"use at most {most}")


@rule("service-cidr-fixed", source="IP", severity="warning")
def service_cidr_fixed(facts: Facts) -> Iterator[Fault]:
    """AKS on Azure Local has one service network, 10.96.0.0/12."""
    for path, cluster in facts.clusters:
        cidr = cluster.network_profile.service_cidr.network
        if str(cidr) != SERVICE_CIDR:
            message = f"serviceCidr {cidr} of cluster {cluster.name}; Azure Local fixes it to {SERVICE_CIDR}"
            yield Fault(
                "stack", (*path, "networkProfile", "serviceCidr"), message, f"leave it out: {SERVICE_CIDR}"
            )


@rule("cidr-in-reserved-range", source="NETCON")
def cidr_in_reserved_range(facts: Facts) -> Iterator[Fault]:
    """Pods and services keep out of the block that is reserved for the other of the two."""
    for path, cluster in facts.clusters:
        profile = cluster.network_profile
        pods, services = RESERVED
        for key, cidr, block, other in (
            ("podCidr", profile.pod_cidr, services, profile.service_cidr),
            ("serviceCidr", profile.service_cidr, pods, profile.pod_cidr),
        ):
            is_reported = overlap(span_of(cidr), span_of(other)) is not None  # cidr-overlap says it
            if overlap(span_of(cidr), RESERVED[block]) and not is_reported:
                message = f"{key} {cidr.network} of cluster {cluster.name} meets {block}, which is reserved"
                yield Fault("stack", (*path, "networkProfile", key), message, "choose another range")


@rule("cidr-host-bits", source="azlocal", severity="warning")
def cidr_host_bits(facts: Facts) -> Iterator[Fault]:
    """A pod or service network is written with its network address."""
    for path, cluster in facts.clusters:
        for key, cidr in _cidrs(cluster):
            if cidr.ip != cidr.network.network_address:
                message = f"{cidr} has host bits set; it is read as {cidr.network}"
                yield Fault("stack", (*path, "networkProfile", key), message, f"write {cidr.network}")


def _made_here(facts: Facts) -> Iterator[tuple[KeyPath, ClusterSpec]]:
    """Yield the clusters that kubeadm makes; of a Kubernetes of their own, people know what it takes."""
    return ((path, cluster) for path, cluster in facts.clusters if cluster.provisioning == "kubernetes")


def _needed_length(cluster: ClusterSpec) -> int:
    """Return the length of the smallest pod network that no rule speaks against: for all pods, a /24 a node."""
    for_pods = 32 - max(0, _most_pods(cluster) - 1).bit_length()
    return max(0, min(for_pods, NODE_PREFIX_LENGTH - cluster.planned_nodes.bit_length()))


def _cidrs(cluster: ClusterSpec) -> tuple[tuple[str, IPv4Interface], ...]:
    profile = cluster.network_profile
    return ("podCidr", profile.pod_cidr), ("serviceCidr", profile.service_cidr)
