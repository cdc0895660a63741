"""From the address plan to an instance with everything decided: hosts, networks, machines, clusters.

Pure. What comes after only carries it out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from infra.model.machine import MachineRole, RequestedMachineType
from infra.model.node import NodeRole, PodSecurity
from infra.plan.addresses import AddressPlan
from infra.plan.addresses.layout import Network, build_networks
from infra.plan.addresses.numbers import as_ranges
from infra.plan.arc_topology import Arc, ConnectedCluster, arc_of, connected_cluster_of
from infra.plan.host_networks import HostNetwork, carrier, host_networks
from infra.plan.instance import Plan
from infra.plan.inventory import PlannedMachine, build_inventory, endpoint_name
from infra.spec import InstanceSpec, SpecError
from infra.spec.hosts import HostSpec
from infra.spec.machine_names import mac_addresses, machine_name
from infra.spec.stack import ClusterSpec, Provisioning, SnapshotSchedule
from infra.spec.storage import StorageClassSpec
from infra.spec.types import AddressRange


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that runs machines.

    Attributes:
        name: Its name in hosts/<site>.yaml.
        connection: The libvirt address.
        storage_directory: Where this instance's files are on the host.
        management_address: Its address in the infrastructure network, if it was given.
        underlay_address: Where other hosts reach it, as far as the files tell.
        uplink: The NIC that carries the VLANs; None for NAT networks.
        is_local: Whether it is the machine azlocal runs on.
        prepare: Whether what is missing on it is made, and not only reported.
        is_lost: Whether it is gone for good: it has neither networks nor machines, and nothing is asked of it.
        drains_live: Whether VMs that leave it migrate as they run.
    """

    name: str
    connection: str
    storage_directory: str
    management_address: IPv4Address | None
    underlay_address: IPv4Address | None
    uplink: str | None
    is_local: bool
    prepare: bool
    is_lost: bool
    drains_live: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with everything decided.

    Attributes:
        name: Host name and libvirt domain, `<instance>-<owner>`.
        owner: Its name in the address plan, e.g. `a-cp-0`.
        role: What it is.
        cluster: Its cluster, if any.
        pool: Its agent pool, if any.
        host: The host it runs on.
        network: The network of the netplan.
        libvirt_network: The libvirt network on its host.
        address: Its address with the subnet's length, e.g. `10.220.32.18/24`.
        gateway: The default gateway.
        dns_servers: DNS servers.
        mtu: Largest packet on its network, in bytes; None for the usual 1500.
        reached_through: The host from which its network is reached: its own, or the one that holds the gateway.
        jump: That host as ssh names a jump; None: the machine is reached from here directly.
        vm_size: The size's name.
        vcpus: Virtual processors.
        memory_mib: Memory.
        disk_gib: Disk.
        mac_address: `52:54:00:…`, drawn from its name.
        image: The node image that it boots: `plain`, or the Kubernetes version in it.
        number: In its group: its control plane, its agent pool.
        max_pods: Of a worker: most pods on the node.
        labels: Kubernetes labels of the node.
        taints: Kubernetes taints of the node, `key=value:Effect`.
    """

    name: str
    owner: str
    role: MachineRole
    cluster: str | None
    pool: str | None
    host: str
    network: str
    libvirt_network: str
    address: IPv4Interface
    gateway: IPv4Address
    dns_servers: tuple[IPv4Address, ...]
    mtu: int | None
    reached_through: str
    jump: str | None
    vm_size: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    mac_address: str
    image: str
    number: int
    max_pods: int | None
    labels: Mapping[str, str]
    taints: tuple[str, ...]

    @property
    def node_role(self) -> NodeRole:
        """Return what it is in its cluster."""
        return "controlPlane" if self.role == "controlPlane" else "worker"


@dataclass(frozen=True, slots=True)
class Spare:
    """A machine that stands only during an upgrade, in all else as the one that it stands in for.

    Attributes:
        name: Host name and libvirt domain.
        address: Its address with the subnet's length.
        mac_address: `52:54:00:…`, drawn from its name.
    """

    name: str
    address: IPv4Interface
    mac_address: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """An AKS cluster with everything decided.

    Attributes:
        name: Its name.
        kubernetes_version: Patch version, of control planes in this run.
        final_version: The one that the files want.
        network: The network of the netplan.
        endpoint: The API server's address (the VIP).
        vrrp_id: The VRRP id that holds it, unique on the network's VLAN.
        spare: The control plane that joins in an upgrade, before the only one leaves.
        load_balancer_ranges: The addresses of services, which MetalLB announces.
        pod_cidr: The pods' network.
        service_cidr: The services' network.
        network_policy: The network plugin, lower case.
        pod_security: The level of pods whose namespace says nothing, as a new cluster is founded with.
        provisioning: How far it is built: to running machines, or to Kubernetes.
        rolls_images: Whether its nodes are replaced for a newer node image of their version.
        surging_pools: Pools of which another machine takes the pods of a node that is replaced.
        add_on_values: Helm values of people's own, by add-on; one that isn't named isn't installed.
        snapshots: By which schedule a host takes snapshots of its etcd; None: none does.
        storage_classes: StorageClasses beside those that every cluster has.
        deletes_volumes: Whether a node that goes takes the volumes on its disk with it.
        timeout_minutes: How long its API server, and then all of it, may take to come up.
        machines: Names of its machines, control plane first.
        arc: How it is connected to Azure Arc; None where it isn't.
    """

    name: str
    kubernetes_version: str
    final_version: str
    network: str
    endpoint: IPv4Address
    vrrp_id: int
    spare: Spare
    load_balancer_ranges: tuple[AddressRange, ...]
    pod_cidr: IPv4Network
    service_cidr: IPv4Network
    network_policy: str
    pod_security: PodSecurity
    provisioning: Provisioning
    rolls_images: bool
    surging_pools: frozenset[str]
    add_on_values: Mapping[str, Mapping[str, Any]]
    snapshots: SnapshotSchedule | None
    storage_classes: tuple[StorageClassSpec, ...]
    deletes_volumes: bool
    timeout_minutes: float
    machines: tuple[str, ...]
    arc: ConnectedCluster | None


@dataclass(frozen=True, slots=True)
class Topology:
    """An instance with everything decided."""

    instance: str
    site: str
    location: str
    machine_type: RequestedMachineType
    hosts: tuple[Host, ...]
    networks: tuple[HostNetwork, ...]
    machines: tuple[Machine, ...]
    clusters: tuple[Cluster, ...]
    arc: Arc | None


def build_topology(spec: InstanceSpec, plan: Plan) -> Topology:
    """Decide everything about an instance.

    Args:
        spec: What people wrote.
        plan: The plan of that spec.

    Raises:
        SpecError: The plan is not sound; carries its findings.
    """
    if not plan.ok:
        raise SpecError(plan.findings)
    layout = build_networks(spec.netplan)
    addresses = {
        allocation.owner: IPv4Address(allocation.value)
        for network in plan.addresses.networks
        for allocation in network.allocations
        if allocation.is_recorded
    }
    networks = tuple(host_networks(spec, layout))
    by_place = {(host_network.host, host_network.network): host_network for host_network in networks}
    carriers = {
        (host.name, network.index): by_place[host.name, carrier(spec, host, network, layout).name]
        for host in spec.standing_hosts
        for network in layout
    }
    gateways = {
        host_network.network: host_network.host
        for host_network in networks
        if host_network.holds_gateway and host_network.mode == "mesh"
    }
    inventory = build_inventory(spec)
    by_name = {network.name: network for network in layout[1:]}
    hosts = plan.placement.hosts
    macs = mac_addresses(machine_name(spec.name, planned.owner) for planned in inventory.machines)
    machines = []
    for machine in inventory.machines:
        network, host = by_name[machine.network] if machine.network else layout[0], hosts[machine.owner]
        machines.append(
            _machine(
                spec.name,
                machine,
                network=network,
                host=host,
                carrier=carriers[host, network.index],
                gateways=gateways,
                jumps={standing.name: standing.ssh_destination for standing in spec.hosts.hosts},
                address=addresses[machine.owner],
                macs=macs,
                image=spec.image_of(machine.cluster, is_worker=machine.role == "worker"),
            )
        )
    return Topology(
        instance=spec.name,
        site=spec.site,
        location=spec.stack.location,
        machine_type=spec.stack.machine_type,
        hosts=tuple(_host(spec.name, host) for host in spec.hosts.hosts),
        networks=networks,
        machines=tuple(machines),
        clusters=tuple(
            _cluster(
                cluster.spec,
                plan.addresses,
                addresses,
                machines,
                spare=_spare(spec.name, cluster.spare, by_name, addresses, macs.values()),
                arc=connected_cluster_of(spec, cluster.spec),
                final_version=spec.final_versions.get(cluster.spec.name, cluster.spec.kubernetes_version),
            )
            for cluster in inventory.clusters
        ),
        arc=arc_of(spec),
    )


def _host(instance: str, host: HostSpec) -> Host:
    return Host(
        name=host.name,
        connection=host.connection,
        storage_directory=host.storage_of(instance),
        management_address=host.management_address,
        underlay_address=host.underlay_address,
        uplink=host.uplink,
        is_local=host.is_local,
        prepare=host.is_prepared,
        is_lost=host.lost,
        drains_live=host.drains_live,
    )


def _machine(
    instance: str,
    planned: PlannedMachine,
    *,
    network: Network,
    host: str,
    carrier: HostNetwork,
    gateways: Mapping[str, str],
    jumps: Mapping[str, str | None],
    address: IPv4Address,
    macs: Mapping[str, str],
    image: str,
) -> Machine:
    name, pool, size = machine_name(instance, planned.owner), planned.pool, planned.size
    reached_through = gateways.get(carrier.network, host)
    return Machine(
        name=name,
        owner=planned.owner,
        role=planned.role,
        cluster=planned.cluster,
        pool=pool.name if pool else None,
        host=host,
        network=network.name,
        libvirt_network=carrier.libvirt_name,
        address=IPv4Interface((address, network.prefix.prefixlen)),
        gateway=IPv4Address(network.gateway),
        dns_servers=tuple(map(IPv4Address, network.dns_servers)),
        mtu=carrier.mtu,
        reached_through=reached_through,
        jump=jumps[reached_through] if carrier.mode != "bridge" else None,
        vm_size=size.name,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        disk_gib=size.disk_gib,
        mac_address=macs[name],
        image=image,
        number=planned.number,
        max_pods=pool.max_pods if pool else None,
        labels=dict(pool.node_labels) if pool else {},
        taints=pool.node_taints if pool else (),
    )


def _spare(
    instance: str,
    planned: PlannedMachine,
    networks: Mapping[str, Network],
    addresses: Mapping[str, IPv4Address],
    macs: Iterable[str],
) -> Spare:
    name, network = machine_name(instance, planned.owner), networks[planned.network or ""]
    address = IPv4Interface((addresses[planned.owner], network.prefix.prefixlen))
    return Spare(name, address, mac_addresses([name], macs)[name])


def _cluster(
    cluster: ClusterSpec,
    plan: AddressPlan,
    addresses: Mapping[str, IPv4Address],
    machines: Iterable[Machine],
    *,
    spare: Spare,
    arc: ConnectedCluster | None,
    final_version: str,
) -> Cluster:
    services = [
        allocation.value
        for network in plan.networks
        for allocation in network.allocations
        if allocation.use == "loadBalancer" and allocation.cluster == cluster.name
    ]
    profile = cluster.network_profile
    return Cluster(
        name=cluster.name,
        kubernetes_version=cluster.kubernetes_version,
        final_version=final_version,
        network=cluster.logical_network,
        endpoint=addresses[endpoint_name(cluster.name)],
        vrrp_id=next(vrrp_id.id for vrrp_id in plan.vrrp_ids if vrrp_id.owner == cluster.name),
        spare=spare,
        load_balancer_ranges=tuple(as_ranges(services)),
        pod_cidr=profile.pod_cidr.network,
        service_cidr=profile.service_cidr.network,
        network_policy=profile.network_policy.lower(),
        pod_security=cluster.pod_security,
        provisioning=cluster.provisioning,
        rolls_images=cluster.auto_upgrade_profile.node_os_upgrade_channel == "NodeImage",
        surging_pools=frozenset(pool.name for pool in cluster.agent_pools if pool.upgrade_settings.max_surge),
        add_on_values={name: add_on.values for name, add_on in cluster.add_ons.by_name().items()},
        snapshots=cluster.snapshots,
        storage_classes=cluster.storage_profile.storage_classes,
        deletes_volumes=cluster.storage_profile.delete_local_volumes,
        timeout_minutes=cluster.timeout_minutes,
        machines=tuple(machine.name for machine in machines if machine.cluster == cluster.name),
        arc=arc,
    )
