"""Counts: clusters, control planes, pools, nodes (azure_local_facts.md §1.1)."""

from collections.abc import Iterator

from infra.counting import counted
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.stack import MOST_PODS

MAX_CLUSTERS = 32
MAX_CLUSTERS_AUTOSCALING = 12
CONTROL_PLANE_COUNTS = (1, 3, 5)
MAX_POOLS = 16
MAX_POOL_NODES = 64
MAX_CLUSTER_NODES = 200
LEAST_PODS = 10
OF_EACH_NODE = 2  # kube-proxy and calico-node; MetalLB's speaker, where there is one, is another


@rule("cluster-count", source="SCALE")
def cluster_count(facts: Facts) -> Iterator[Fault]:
    """An instance has at most 32 clusters, 12 once one of them scales by itself."""
    scaling = any(pool.enable_auto_scaling for _, cluster in facts.clusters for pool in cluster.agent_pools)
    most = MAX_CLUSTERS_AUTOSCALING if scaling else MAX_CLUSTERS
    if len(facts.clusters) > most:
        reason = " where autoscaling is on" if scaling else ""
        message = f"{counted(len(facts.clusters), 'cluster')}; an instance has at most {most}{reason}"
        yield Fault("stack", ("clusters",), message, "move clusters to another instance")


@rule("control-plane-count", source="SCALE, API-GA")
def control_plane_count(facts: Facts) -> Iterator[Fault]:
    """A control plane has 1, 3 or 5 nodes."""
    for path, cluster in facts.clusters:
        count = cluster.control_plane.count
        if count not in CONTROL_PLANE_COUNTS:
            message = f"{counted(count, 'control-plane node')}; etcd's majority needs 1, 3 or 5"
            yield Fault("stack", (*path, "controlPlane", "count"), message, "use 1, 3 or 5")


@rule("pool-count", source="SCALE, ARCH")
def pool_count(facts: Facts) -> Iterator[Fault]:
    """A cluster has 1-16 pools; at least one must be there for the Arc agents."""
    for path, cluster in facts.clusters:
        count = len(cluster.agent_pools)
        if not 1 <= count <= MAX_POOLS:
            message = f"{counted(count, 'agent pool')}; a cluster has 1-{MAX_POOLS}"
            yield Fault("stack", (*path, "agentPools"), message, "add, merge or remove pools")


@rule("pool-node-count", source="SCALE, API-GA")
def pool_node_count(facts: Facts) -> Iterator[Fault]:
    """A pool has 1-64 nodes, now and when it has grown."""
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            for key, count in (("count", pool.count), ("minCount", pool.min_count), ("maxCount", pool.max_count)):
                if count is not None and not 1 <= count <= MAX_POOL_NODES:
                    message = f"{key} {count} in pool {pool.name}; a pool has 1-{MAX_POOL_NODES} nodes"
                    yield Fault("stack", (*path, "agentPools", number, key), message, "correct it, or add a pool")


@rule("cluster-node-count", source="SCALE")
def cluster_node_count(facts: Facts) -> Iterator[Fault]:
    """A cluster has at most 200 nodes over all pools, autoscaling included."""
    for path, cluster in facts.clusters:
        total = cluster.planned_nodes
        if total > MAX_CLUSTER_NODES:
            message = f"{counted(total, 'node')} in cluster {cluster.name}; at most {MAX_CLUSTER_NODES}"
            yield Fault("stack", path, message, "move pools to another cluster")


@rule("autoscaling-range", source="API-GA, ASCALE")
def autoscaling_range(facts: Facts) -> Iterator[Fault]:
    """Autoscaling has both bounds, and the count lies between them."""
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            if not pool.enable_auto_scaling:
                continue
            where = (*path, "agentPools", number)
            low, high = pool.min_count, pool.max_count
            if low is None or high is None:
                missing = "minCount" if low is None else "maxCount"
                message = f"pool {pool.name} scales by itself but has no {missing}"
                yield Fault("stack", where, message, f"add {missing}, or switch enableAutoScaling off")
            elif not low <= pool.count <= high:
                message = f"count {pool.count} of pool {pool.name} is not within minCount {low} to maxCount {high}"
                yield Fault("stack", where, message, "correct one of the three")


@rule("max-pods", source="POOL; kubeadm ValidatePodSubnetNodeMask")
def max_pods(facts: Facts) -> Iterator[Fault]:
    """A node takes at least one pod, and no more than the largest pod network has addresses."""
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            if not 1 <= pool.max_pods <= MOST_PODS:
                message = f"maxPods {pool.max_pods} in pool {pool.name}"
                yield Fault("stack", (*path, "agentPools", number, "maxPods"), message, "use 110, the default")


@rule("max-pods-few", source="AKS: https://learn.microsoft.com/azure/aks/concepts-network-ip-address-planning")
def max_pods_few(facts: Facts) -> Iterator[Fault]:
    """A node has room for more pods than each node runs by itself; AKS takes no maxPods below 10."""
    for path, cluster in facts.clusters:
        if cluster.provisioning != "kubernetes":
            continue
        of_each = OF_EACH_NODE + cluster.add_ons.metallb.enabled
        for number, pool in enumerate(cluster.agent_pools):
            if not 1 <= pool.max_pods < LEAST_PODS:
                continue
            where = (*path, "agentPools", number, "maxPods")
            runs = f"each node of pool {pool.name} runs {of_each} of the system's own"
            if pool.max_pods < of_each:
                message = f"maxPods {pool.max_pods}: {runs}, for which `up` would wait in vain"
                yield Fault("stack", where, message, f"write {LEAST_PODS} or more")
            else:
                message = f"maxPods {pool.max_pods}: {runs}, and AKS takes {LEAST_PODS} or more"
                yield Fault("stack", where, message, f"write {LEAST_PODS} or more", "warning")


@rule("plain-image-has-no-kubernetes", source="azlocal")
def plain_image_has_no_kubernetes(facts: Facts) -> Iterator[Fault]:
    """Nodes boot the image that has Kubernetes in it."""
    if facts.spec.stack.node_image != "plain":
        return
    for path, cluster in facts.clusters:
        if cluster.provisioning == "kubernetes":
            message = f"cluster {cluster.name} gets Kubernetes, and nodeImage is plain, which has none"
            remedy = "write provisioning: machines for the cluster, or remove nodeImage"
            yield Fault("stack", (*path, "provisioning"), message, remedy)
