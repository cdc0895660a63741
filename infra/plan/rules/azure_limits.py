"""What runs here and wouldn't on Azure Local, or the other way round: numbers of an instance, GPUs, system images.

Sources: azure_local_facts.md §0 (SCALE, GPU, API-GA, NEW, RAC), azure_parity.md §4, and what the rules name.
"""

from collections.abc import Iterator

from infra.counting import counted
from infra.plan.rules.arc import connected
from infra.plan.rules.base import Facts, Fault, rule
from infra.plan.rules.machines import sizes_of
from infra.spec.findings import shown
from infra.spec.stack import OS_SKUS

MOST_VMS = 200
MOST_AT_ONCE, MOST_AT_ONCE_SCALING = 8, 4
DISCONNECTED_VERSIONS = ("1.33.4", "1.33.5")
_AKS_DOCS = "https://learn.microsoft.com/azure/aks/aksarc"


@rule("os-sku", source="API-GA, API-TSP")
def os_sku(facts: Facts) -> Iterator[Fault]:
    """A pool's osSKU is one of Azure's, in Azure's spelling."""
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            if pool.os_sku is not None and not any(pool.os_sku in skus for skus in OS_SKUS.values()):
                message = f"Azure Local knows no osSKU {shown(pool.os_sku)}"
                remedy = f"write {' or '.join(OS_SKUS[pool.os_type])}, or remove the key"
                yield Fault("stack", (*path, "agentPools", number, "osSKU"), message, remedy)


@rule("os-sku-of-other-type", source="API-GA; TFAVM")
def os_sku_of_other_type(facts: Facts) -> Iterator[Fault]:
    """A pool's osSKU is one of its osType."""
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            other = next((kind for kind, skus in OS_SKUS.items() if pool.os_sku in skus), pool.os_type)
            if other != pool.os_type:
                message = f"osSKU {pool.os_sku} is of {other}, and pool {pool.name} is {pool.os_type}"
                remedy = f"write {' or '.join(OS_SKUS[pool.os_type])}, or remove the key"
                yield Fault("stack", (*path, "agentPools", number, "osSKU"), message, remedy)


@rule("gpu-not-here", source="GPU; azlocal", severity="warning")
def gpu_not_here(facts: Facts) -> Iterator[Fault]:
    """Sizes with GPUs get their processors and memory here, and no GPU."""
    for path, name, _ in sizes_of(facts):
        size = facts.vm_sizes.get(name)
        if size is not None and size.gpus:
            count = counted(size.gpus, "GPU")
            message = f"{name} has {count} on Azure Local, and none here: machines get its processors and memory"
            yield Fault("stack", path, message, "fine for a plan; what needs a GPU doesn't run here")


@rule(
    "gpu-default-pool",
    source=f"{_AKS_DOCS}/aks-arc-known-issues: can't create a cluster with a GPU-enabled default node pool",
    severity="warning",
)
def gpu_default_pool(facts: Facts) -> Iterator[Fault]:
    """A cluster's first pool, which Azure creates it with, has no GPUs."""
    for path, cluster in facts.clusters:
        first = next(iter(cluster.agent_pools), None)
        size = facts.vm_sizes.get(first.vm_size) if first else None
        if first is not None and size is not None and size.gpus:
            message = f"pool {first.name} is cluster {cluster.name}'s first, and {first.vm_size} has GPUs"
            remedy = "write a pool without GPUs first: Azure Local creates no cluster with a GPU pool"
            yield Fault("stack", (*path, "agentPools", 0, "vmSize"), message, remedy)


@rule(
    "instance-vm-count",
    source="SEED4: https://learn.microsoft.com/azure/architecture/example-scenario/hybrid/aks-baseline",
    severity="warning",
)
def instance_vm_count(facts: Facts) -> Iterator[Fault]:
    """The clusters of an instance have at most 200 VMs together, as far as Azure Local has published a number."""
    counts = [cluster.planned_nodes for _, cluster in facts.clusters]
    if sum(counts) > MOST_VMS:
        total = f"{counted(sum(counts), 'node')} in {counted(len(counts), 'cluster')}"
        message = f"{total}; an instance of Azure Local has {MOST_VMS} VMs"
        yield Fault(
            "stack", ("clusters",), message, "fine here; for Azure Local, divide the clusters among instances"
        )


@rule("concurrent-creations", source="SCALE, concurrency", severity="info")
def concurrent_creations(facts: Facts) -> Iterator[Fault]:
    """Azure Local creates 8 clusters and 8 further pools at a time, 4 where a pool scales by itself; here, all."""
    scaling = any(pool.enable_auto_scaling for _, cluster in facts.clusters for pool in cluster.agent_pools)
    most = MOST_AT_ONCE_SCALING if scaling else MOST_AT_ONCE
    pools = sum(len(cluster.agent_pools[1:]) for _, cluster in facts.clusters)
    for count, what in ((len(facts.clusters), "clusters"), (pools, "pools beside the clusters' first")):
        if count > most:
            message = f"{count} {what}: `up` makes them together, Azure Local creates {most} at a time"
            yield Fault("stack", ("clusters",), message, f"fine here; there, deploy them {most} at a time")


@rule("disconnected-limits", source="azure_parity §4: AKS with disconnected operations", severity="warning")
def disconnected_limits(facts: Facts) -> Iterator[Fault]:
    """An instance with disconnected operations, a custom cloud, has fewer versions and features."""
    arc = facts.spec.stack.arc
    if arc is None or arc.cloud != "custom":
        return
    which = "with disconnected operations, as a custom cloud may be"
    offered = " or ".join(DISCONNECTED_VERSIONS)
    if arc.gateway is not None:
        message = f"an Azure Local {which}, has no Arc gateway"
        yield Fault("stack", ("arc", "gateway"), message, "remove gateway")
    for path, cluster, settings in connected(facts):
        if cluster.kubernetes_version not in DISCONNECTED_VERSIONS:
            message = f"an Azure Local {which}, doesn't offer Kubernetes {cluster.kubernetes_version}"
            yield Fault("stack", (*path[:-1], "kubernetesVersion"), message, f"write {offered}")
        if settings.azure_rbac.enabled:
            message = f"an Azure Local {which}, has no Entra ID, which azureRbac needs"
            yield Fault("stack", (*path, "azureRbac", "enabled"), message, "write enabled: false")


@rule("rack-aware-zones", source="NETCON, RAC; azure-quickstart-templates create-cluster-rac-enabled")
def rack_aware_zones(facts: Facts) -> Iterator[Fault]:
    """Hosts of a rack-aware instance stand in two zones, as many in one as in the other."""
    hosts = facts.spec.hosts.hosts
    named = [(index, host.local_availability_zone) for index, host in enumerate(hosts)]
    written = [(index, zone) for index, zone in named if zone is not None]
    if not written:
        if facts.spec.stack.deployment_class == "rackAware":
            message = "no host says which zone it is in; Azure Local asks for two"
            remedy = "write localAvailabilityZone under each host, half of them one, the other half the other"
            yield Fault("hosts", ("hosts",), message, remedy, "warning")
        return
    if facts.spec.stack.deployment_class != "rackAware":
        message = f"zone {shown(written[0][1])} of a host, and the instance isn't rack-aware: zones have no effect"
        place = ("hosts", written[0][0], "localAvailabilityZone")
        yield Fault("hosts", place, message, "remove the zones, or write deploymentClass: rackAware", "warning")
        return
    for index, zone in named:
        if zone is None:
            message = f"host {hosts[index].name} is in no zone, and others are"
            yield Fault("hosts", ("hosts", index), message, "add localAvailabilityZone")
    sizes = {zone: sum(other == zone for _, other in written) for _, zone in written}
    if len(sizes) != 2:
        message = f"{counted(len(sizes), 'zone')}; a rack-aware instance has two"
        yield Fault("hosts", ("hosts",), message, "give half of the hosts one zone, the other half the other")
    elif len(set(sizes.values())) > 1:
        shares = " and ".join(f"{count} in {zone}" for zone, count in sizes.items())
        yield Fault("hosts", ("hosts",), f"{shares}: zones of unequal size", "give each zone as many hosts")


@rule("rack-aware-control-plane", source="RAC", severity="info")
def rack_aware_control_plane(facts: Facts) -> Iterator[Fault]:
    """A control plane has more nodes than a zone has hosts: nodes are spread over hosts, not over zones."""
    count = len(facts.spec.hosts.hosts) // 2
    if facts.spec.stack.deployment_class != "rackAware" or count < 1:
        return
    for path, cluster in facts.clusters:
        planes = cluster.control_plane.count
        if 1 < planes <= count:
            message = f"{planes} control-plane nodes may all run in one zone, which has {counted(count, 'host')}"
            better = next((number for number in (3, 5) if number > count), None)
            remedy = f"write count: {better}" if better else "no control plane is large enough: 5 nodes at most"
            yield Fault("stack", (*path, "controlPlane", "count"), message, remedy)
