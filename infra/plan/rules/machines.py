"""Machines: VM sizes by role, and the hosts' class (azure_local_facts.md §1.1-1.2, §5.1)."""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.counting import counted
from infra.model.machine_traits import may_run_containers, may_run_vms
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, Severity, shown
from infra.spec.hosts import DEFAULT_STORAGE_DIRECTORY
from infra.spec.near import nearest
from infra.spec.stack import DEFAULT_VM_SIZE, OS_SKUS, DeploymentClass
from infra.spec.vm_sizes import AZURE_SIZES, VmSize

BRIDGE_VCPUS = 4
BRIDGE_MEMORY_GIB = 8
WINDOWS_OFF_SINCE = "2509"
# k8s.io/kubernetes v1.34.4 cmd/kubeadm/app/constants: ControlPlaneNumCPU, ControlPlaneMem.
CONTROL_PLANE_VCPUS = 2
CONTROL_PLANE_MEMORY_MIB = 1700
WORKER_MEMORY_MIB = 2048  # kubernetes.io, "Installing kubeadm": 2 GB or more per machine
NODE_IMAGE_GIB = 16  # a disk as large as the node image's; a test holds it to infra.image.recipe
MOST_VCPUS = 255  # libvirt src/qemu/qemu_validate.c: more need an IOMMU with extended interrupt mode
# As `cpus` of a host; a test holds it to what the plugin takes (infra.resources.machine).
MOST_CONTAINER_VCPUS = 512
_EMPTIED = {("tmp",), ("run",), ("var", "run"), ("var", "tmp")}  # at a boot, or of what is old


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What a deployment class says of its hosts.

    Attributes:
        most: Most machines of an instance.
        memory_gib: Least and most memory of each; None is no limit.
        cpus: Most processor cores of each, if limited.
        source: Where that is published.
    """

    most: int
    memory_gib: tuple[int, int | None]
    source: str
    cpus: int | None = None


LIMITS: dict[DeploymentClass, HostLimits] = {
    "hyperconverged": HostLimits(16, (32, None), "SCALE, SYS"),
    "lowCapacity": HostLimits(3, (32, 128), "LOWCAP", cpus=14),
    "rackAware": HostLimits(8, (32, None), "NETCON"),
    "disaggregated": HostLimits(64, (32, None), "DASYS"),
    "resourceBridgeTest": HostLimits(16, (32, None), "SCALE, SYS"),
}


@rule("host-count", source="SCALE, SYS, LOWCAP, NETCON, DASYS")
def host_count(facts: Facts) -> Iterator[Fault]:
    """An instance has 1-16 machines, or what its deployment class allows."""
    name = facts.spec.stack.deployment_class
    limits, count = LIMITS[name], len(facts.spec.hosts.hosts)
    if not 1 <= count <= limits.most:
        message = f"{counted(count, 'host')}; an instance of class {name} has 1-{limits.most}"
        yield Fault("hosts", ("hosts",), message, "add or remove hosts")


@rule("rack-aware-odd", source="NETCON")
def rack_aware_odd(facts: Facts) -> Iterator[Fault]:
    """A rack-aware instance has as many machines in one zone as in the other."""
    count = len(facts.spec.hosts.hosts)
    if facts.spec.stack.deployment_class == "rackAware" and count % 2:
        message = f"{counted(count, 'host')} can't be spread evenly over two zones"
        yield Fault("hosts", ("hosts",), message, "add or remove a host")


@rule("host-memory", source="SYS, LOWCAP", severity="warning")
def host_memory(facts: Facts) -> Iterator[Fault]:
    """A host has the memory that its deployment class asks for."""
    name = facts.spec.stack.deployment_class
    least, most = LIMITS[name].memory_gib
    for index, host in enumerate(facts.spec.hosts.hosts):
        if host.memory_gib is not None and not least <= host.memory_gib <= (most or host.memory_gib):
            required = f"{least}-{most}" if most else f"at least {least}"
            message = f"host {host.name} has {host.memory_gib} GiB; class {name} asks for {required}"
            remedy = (
                "enough for a lab; Azure Local asks for more" if host.memory_gib < least else "use another class"
            )
            yield Fault("hosts", ("hosts", index, "memoryGiB"), message, remedy)


@rule("host-cpus", source="LOWCAP", severity="warning")
def host_cpus(facts: Facts) -> Iterator[Fault]:
    """A low-capacity host has at most 14 cores, so at most 28 logical processors."""
    most = LIMITS[facts.spec.stack.deployment_class].cpus
    for index, host in enumerate(facts.spec.hosts.hosts):
        if most is not None and host.cpus is not None and host.cpus > 2 * most:
            message = f"host {host.name} has {host.cpus} logical processors; {most} cores make at most {2 * most}"
            yield Fault("hosts", ("hosts", index, "cpus"), message, "use deploymentClass hyperconverged")


@rule("storage-does-not-last", source="hier(7), tmpfiles.d(5)", severity="warning")
def storage_does_not_last(facts: Facts) -> Iterator[Fault]:
    """A host keeps disks in a folder that it doesn't empty."""
    for index, host in enumerate(facts.spec.hosts.hosts):
        folder = host.storage_directory or ""
        parts = tuple(part for part in folder.split("/") if part not in ("", "."))
        if parts[:1] in _EMPTIED or parts[:2] in _EMPTIED:
            message = f"host {host.name} would keep machines' disks in {shown(folder)}, which it empties"
            remedy = f"choose a folder that stays, as {DEFAULT_STORAGE_DIRECTORY}"
            yield Fault("hosts", ("hosts", index, "storageDirectory"), message, remedy)


@rule("hosts-differ", source="SYS, ODIN", severity="info")
def hosts_differ(facts: Facts) -> Iterator[Fault]:
    """All hosts are of one model."""
    hosts = facts.spec.hosts.hosts
    for key, values in (
        ("cpus", {host.cpus for host in hosts}),
        ("memoryGiB", {host.memory_gib for host in hosts}),
    ):
        known = sorted(value for value in values if value is not None)
        if len(known) > 1:
            message = f"hosts differ in {key} ({known[0]} to {known[-1]}); Azure Local asks for one model"
            yield Fault("hosts", ("hosts",), message, "fine for a lab; plan with the smallest for a host's loss")


@rule("clusters-at-test-site", source="RBSYS")
def clusters_at_test_site(facts: Facts) -> Iterator[Fault]:
    """A site that only tests the resource bridge has no clusters."""
    if facts.spec.stack.deployment_class == "resourceBridgeTest" and facts.clusters:
        message = f"{counted(len(facts.clusters), 'cluster')} in a test of the resource bridge alone"
        remedy = "remove them, or drop deploymentClass and give the infrastructure pool six addresses"
        yield Fault("stack", ("clusters",), message, remedy)


@rule("unknown-vm-size", source="SCALE, GPU")
def unknown_vm_size(facts: Facts) -> Iterator[Fault]:
    """A VM size is Azure's or the site's own."""
    known = facts.vm_sizes
    for path, size, role in sizes_of(facts):
        if size not in known:
            fits = [name for name, vm_size in known.items() if role != "controlPlane" or vm_size.for_control_plane]
            by_lower = {name.lower(): name for name in fits}
            near = nearest(size.lower(), by_lower, 0.85)
            some = ", ".join(sorted(name for name in fits if not known[name].gpus)[:8])
            remedy = f"use {by_lower[near]}" if near is not None else f"use one of: {some}, …"
            yield Fault("stack", path, f"there is no VM size '{size}'", f"{remedy}; or define it under vmSizes")


@rule("vm-size-not-for-control-plane", source="SCALE, GPU")
def vm_size_not_for_control_plane(facts: Facts) -> Iterator[Fault]:
    """A control plane has one of the sizes that Azure Local offers for control planes."""
    known = facts.vm_sizes
    for path, size, role in sizes_of(facts):
        if role == "controlPlane" and size in known and not known[size].for_control_plane:
            names = ", ".join(name for name, vm_size in AZURE_SIZES.items() if vm_size.for_control_plane)
            yield Fault("stack", path, f"control planes can't have size {size}", f"use one of: {names}")


@rule("control-plane-too-small", source="kubeadm preflight: NumCPU, Mem")
def control_plane_too_small(facts: Facts) -> Iterator[Fault]:
    """A control plane has the 2 processors and the 1700 MiB without which kubeadm ends before it starts.

    In a container kubeadm sees the host's processors and memory, so that there it is only a warning.
    """
    requested = facts.spec.stack.machine_type
    severity: Severity = "error" if may_run_vms(requested) else "warning"
    for path, cluster in facts.clusters:
        size = facts.vm_sizes.get(cluster.control_plane.vm_size)
        if size is None or cluster.provisioning != "kubernetes":
            continue
        if not _can_be_control_plane(size):
            requirement = f"kubeadm asks for {CONTROL_PLANE_VCPUS} processors and {CONTROL_PLANE_MEMORY_MIB} MiB"
            has = f"have {_resources(size)} ({size.name})"
            message = f"control planes of cluster {cluster.name} {has}; {requirement}"
            known = [facts.vm_sizes[name] for name in (DEFAULT_VM_SIZE, *facts.vm_sizes)]
            larger = next(
                (
                    vm_size.name
                    for vm_size in known
                    if vm_size.for_control_plane and _can_be_control_plane(vm_size)
                ),
                "",
            )
            use = f"use {larger}, or" if larger else "use"
            remedy = f"{use} a size under vmSizes of the hosts file with vcpus: 2 and memoryGiB: 2 or more"
            if may_run_vms(requested) and may_run_containers(requested):
                remedy += "; where all machines are containers, write machineType: container"
            yield Fault("stack", (*path, "controlPlane", "vmSize"), message, remedy, severity)


@rule("worker-too-small", source="kubernetes.io: Installing kubeadm", severity="warning")
def worker_too_small(facts: Facts) -> Iterator[Fault]:
    """A worker has the 2 GiB that Kubernetes recommends; with less, few pods beside the system's find room."""
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            size = facts.vm_sizes.get(pool.vm_size)
            if size is None or cluster.provisioning != "kubernetes" or size.memory_mib >= WORKER_MEMORY_MIB:
                continue
            message = f"nodes of pool {pool.name} have {_resources(size)} ({size.name}); Kubernetes asks for 2 GiB"
            remedy = "fine where few pods run; else use a size with more memory"
            yield Fault("stack", (*path, "agentPools", number, "vmSize"), message, remedy)


@rule("vm-disk-too-small", source="azlocal")
def vm_disk_too_small(facts: Facts) -> Iterator[Fault]:
    """A machine's disk holds the node image."""
    seen: set[str] = set()
    for path, name, _ in sizes_of(facts):
        size = facts.vm_sizes.get(name)
        if size is not None and size.disk_gib < NODE_IMAGE_GIB and name not in seen:
            seen.add(name)
            message = f"{name} has diskGiB {size.disk_gib}; the node image needs {NODE_IMAGE_GIB}"
            yield Fault("stack", path, message, f"write diskGiB: {NODE_IMAGE_GIB} or more under vmSizes")


@rule("vm-size-too-large", source="libvirt qemu_validate.c")
def vm_size_too_large(facts: Facts) -> Iterator[Fault]:
    """A VM has at most 255 processors; a container as many as a host can have."""
    may_be_vm = may_run_vms(facts.spec.stack.machine_type)
    kind, most = ("VM", MOST_VCPUS) if may_be_vm else ("container", MOST_CONTAINER_VCPUS)
    for path, name, _ in sizes_of(facts):
        size = facts.vm_sizes.get(name)
        if size is not None and size.vcpus > most:
            message = f"{name} has {counted(size.vcpus, 'processor')}; a {kind} has at most {most}"
            yield Fault("stack", path, message, f"use a size with {counted(most, 'processor')} or fewer")


@rule("more-processors-than-hosts", source="QEMU: recommended number of vCPUs", severity="warning")
def more_processors_than_hosts(facts: Facts) -> Iterator[Fault]:
    """A machine has no more processors than a host: with more, its processors wait for each other."""
    known = [host.cpus for host in facts.spec.hosts.hosts if host.cpus is not None]
    if len(known) < len(facts.spec.hosts.hosts):
        return
    seen: set[str] = set()
    for path, name, _ in sizes_of(facts):
        size = facts.vm_sizes.get(name)
        if size is not None and size.vcpus > max(known, default=size.vcpus) and name not in seen:
            seen.add(name)
            message = f"{name} has {counted(size.vcpus, 'processor')}; the largest host has {max(known)}"
            yield Fault("stack", path, message, "it runs, and slowly; use a smaller size, or a larger host")


@rule("windows-pool", source="azlocal; NEW 2509, 2510")
def windows_pool(facts: Facts) -> Iterator[Fault]:
    """A pool's nodes are ones that can be built here: Linux.

    Azure Local has Windows images only where they are switched on, and none of Windows Server 2019 any more.
    """
    release = facts.spec.stack.azure_local_release
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            if pool.os_type == "Linux":
                continue
            where = (*path, "agentPools", number)
            message = f"pool {pool.name} of cluster {cluster.name} is {pool.os_type}, which isn't built here"
            sku = ", and remove osSKU" if pool.os_sku in OS_SKUS[pool.os_type] else ""
            remedy = f"write Linux{sku}; its addresses are in the plan all the same"
            yield Fault("stack", (*where, "osType"), message, remedy)
            if release is None or release >= WINDOWS_OFF_SINCE:
                message = f"pool {pool.name} is Windows, whose images Azure Local doesn't have by default"
                remedy = "switch Windows node pools on in the instance before the cluster is deployed there"
                yield Fault("stack", (*where, "osType"), message, remedy, "warning")
            if pool.os_sku == "Windows2019":
                message = f"pool {pool.name} is Windows Server 2019, whose support ended in March 2026"
                yield Fault("stack", (*where, "osSKU"), message, "write Windows2022", "warning")


@rule("no-linux-pool", source="ARCH")
def no_linux_pool(facts: Facts) -> Iterator[Fault]:
    """A cluster has a Linux pool, where the Arc agents run."""
    for path, cluster in facts.clusters:
        if cluster.agent_pools and all(pool.os_type != "Linux" for pool in cluster.agent_pools):
            message = f"cluster {cluster.name} has no Linux pool for the Arc agents"
            yield Fault("stack", (*path, "agentPools"), message, "add a Linux pool")


@rule("gpu-pool-not-linux", source="GPU")
def gpu_pool_not_linux(facts: Facts) -> Iterator[Fault]:
    """Sizes with GPUs are for Linux pools."""
    for path, cluster in facts.clusters:
        for number, pool in enumerate(cluster.agent_pools):
            size = facts.vm_sizes.get(pool.vm_size)
            if pool.os_type != "Linux" and size is not None and size.gpus:
                message = f"pool {pool.name} is {pool.os_type} and has GPUs ({pool.vm_size})"
                where = (*path, "agentPools", number, "vmSize")
                yield Fault("stack", where, message, "make it Linux, or use a size without GPUs")


@rule("vm-size-not-azure", source="SCALE, GPU", severity="info")
def vm_size_not_azure(facts: Facts) -> Iterator[Fault]:
    """A VM size is one that Azure Local has too."""
    named = reversed(list(sizes_of(facts)))
    own = {size: path for path, size, _ in named if size in facts.spec.hosts.vm_sizes and size not in AZURE_SIZES}
    if own:
        names = ", ".join(sorted(own))
        message = f"{names}: sizes of this site; Azure Local has none of that name"
        path = next(reversed(own.values()))
        yield Fault("stack", path, message, "fine for a lab; use Azure's for a plan that carries over")


@rule("vm-size-redefined", source="SCALE, GPU", severity="warning")
def vm_size_redefined(facts: Facts) -> Iterator[Fault]:
    """A size of the site's own that has a name of Azure's is what Azure's is."""
    for name in facts.spec.hosts.vm_sizes:
        azure, own = AZURE_SIZES.get(name), facts.vm_sizes[name]
        if azure is not None and (azure.vcpus, azure.memory_mib) != (own.vcpus, own.memory_mib):
            message = f"{name} has {_resources(own)} at this site; Azure Local's {name} has {_resources(azure)}"
            remedy = "machines here get the site's; give it a name of its own, or remove it to have Azure's"
            yield Fault("hosts", ("vmSizes", name), message, remedy)


@rule("resource-bridge-too-small", source="RBSYS", severity="warning")
def resource_bridge_too_small(facts: Facts) -> Iterator[Fault]:
    """The resource bridge has at least 4 processors and 8 GiB; sizes of the site's own are its own affair."""
    name = facts.spec.stack.resource_bridge.vm_size
    size = AZURE_SIZES.get(name)
    if size is None or name in facts.spec.hosts.vm_sizes:
        return
    if size.vcpus < BRIDGE_VCPUS or size.memory_mib < BRIDGE_MEMORY_GIB * 1024:
        requirement = f"{BRIDGE_VCPUS} processors and {BRIDGE_MEMORY_GIB} GiB"
        message = f"{name} has {_resources(size)}; the bridge asks for {requirement}"
        yield Fault("stack", ("resourceBridge", "vmSize"), message, "use Standard_A4_v2")


def _can_be_control_plane(size: VmSize) -> bool:
    return size.vcpus >= CONTROL_PLANE_VCPUS and size.memory_mib >= CONTROL_PLANE_MEMORY_MIB


def _resources(size: VmSize) -> str:
    """Say what a size has: `1 processor and 2 GiB`."""
    return f"{counted(size.vcpus, 'processor')} and {size.memory_mib // 1024} GiB"


def sizes_of(facts: Facts) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield where a size stands, its name and the role that has it."""
    yield ("resourceBridge", "vmSize"), facts.spec.stack.resource_bridge.vm_size, "resourceBridge"
    for path, cluster in facts.clusters:
        yield (*path, "controlPlane", "vmSize"), cluster.control_plane.vm_size, "controlPlane"
        for number, pool in enumerate(cluster.agent_pools):
            yield (*path, "agentPools", number, "vmSize"), pool.vm_size, "worker"
