"""Pulumi.<stack>.yaml, its `azlocal:` keys: one instance and its clusters. The platform team's file.

Sources (azure_local_facts.md §0): SCALE and API-GA for counts and sizes, API-TSP for pool names, IP §2.1 for
what autoscaling and `hostIP` do to the address plan.
"""

from ipaddress import IPv4Interface
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from infra.model.image import NodeImageKind
from infra.model.machine import RequestedMachineType
from infra.model.node import PodSecurity
from infra.spec.arc import ArcSpec, ClusterArc, OidcIssuerProfile, SecurityProfile
from infra.spec.auto_scaler import AutoScalerProfile
from infra.spec.findings import shown
from infra.spec.forms import CLUSTER_NAME, POOL_NAME, RELEASE, SITE_NAME, Example, Refused
from infra.spec.kubernetes_versions import DEFAULT_KUBERNETES_VERSION, KUBERNETES_VERSION, version_key
from infra.spec.node_settings import LABEL_KEY, LABEL_VALUE, TAINT
from infra.spec.ssh_keys import check_public_key
from infra.spec.storage import StorageProfile
from infra.spec.types import (
    Address,
    AddressRange,
    Boolean,
    Integer,
    Minutes,
    Model,
    Name,
    Prefix,
    Ranges,
    fault,
    parse_ranges,
    published,
)

DEFAULT_VM_SIZE = "Standard_A4_v2"
DEFAULT_MAX_PODS = 110
MOST_PODS = 1 << 24  # the addresses of a /8, the largest pod network that kubeadm takes
DEFAULT_TIMEOUT_MINUTES = 10

_DeploymentClass = Literal["hyperconverged", "lowCapacity", "rackAware", "disaggregated", "resourceBridgeTest"]

Provisioning = Literal["machines", "kubernetes"]

OS_SKUS: dict[str, tuple[str, ...]] = {"Linux": ("CBLMariner",), "Windows": ("Windows2022", "Windows2019")}
"""Azure's names of node systems, by osType (API-GA, API-TSP `OSSKU`)."""

_NOT_MODELLED = {
    "multirack": "Azure Local, Rack Scale (multi-rack)",
    "rackscale": "Azure Local, Rack Scale (multi-rack)",
    "disconnected": "Azure Local with disconnected operations",
    "disconnectedoperations": "Azure Local with disconnected operations",
    "baremetal": "AKS on bare metal (preview)",
}
"""Classes of Azure that aren't modelled here, by their names in lower case without hyphens (azure_parity §4)."""


def _read_class(value: object) -> object:
    known = get_args(_DeploymentClass)
    if not isinstance(value, str) or value in known:
        return value
    bare = value.lower().replace("-", "").replace("_", "").replace(" ", "")
    if product := _NOT_MODELLED.get(bare):
        own = "write arc.cloud: custom for its Resource Manager, and " if bare.startswith("disconnected") else ""
        message = f"{shown(value)}: {product} isn't modelled here; its limits and networks are others"
        raise fault("class-not-modelled", message, f"{own}use one of: {', '.join(_of_clusters(known))}")
    near = next((name for name in known if name.lower() == bare), None)
    raise fault(
        "wrong-value",
        f"{shown(value)} is not one of {', '.join(known)}",
        f"write {near}" if near else f"write one of: {', '.join(_of_clusters(known))}",
    )


def _of_clusters(known: tuple[str, ...]) -> list[str]:
    """Return the classes of instances that may have clusters: one that is only tested has none."""
    return [name for name in known if name != "resourceBridgeTest"]


DeploymentClass = Annotated[_DeploymentClass, BeforeValidator(_read_class)]


class ResourceBridge(Model):
    """The Arc resource bridge's VM (RBSYS: at least 4 vCPU, 8 GiB). Every instance has one."""

    vm_size: Name = Field(DEFAULT_VM_SIZE, description="VM size of the appliance VM.")


class ControlPlane(Model):
    """The control plane of one cluster: 1, 3 or 5 nodes (SCALE, API-GA)."""

    count: Annotated[Integer, published(enum=[1, 3, 5])] = Field(1, description="1, 3 or 5.")
    vm_size: Name = Field(DEFAULT_VM_SIZE, description="VM size of each control-plane node.")
    host_ip: Address | None = Field(
        None,
        alias="hostIP",
        description="The API server's address: in the network, outside its pools (PS). Absent: we choose.",
    )


class UpgradeSettings(Model):
    """How nodes of a pool are replaced (AKS: agentPools, upgradeSettings)."""

    max_surge: Annotated[Integer, Field(ge=0, le=1)] = Field(
        1,
        description="1: before a node is replaced, another machine joins at the cluster's spare address and takes "
        "its pods. 0: none does, which takes no memory more, and the pods find room on other nodes or wait.",
    )


class AgentPool(Model):
    """A pool of workers (API-GA agentPools): 1-64 nodes, 1-16 pools a cluster (SCALE)."""

    name: Annotated[Name, POOL_NAME] = Field(description="3-12 characters, a letter first.")
    count: Annotated[Integer, published(1, 64)] = Field(
        1, description="Number of nodes; with autoscaling, the number that the pool begins with."
    )
    vm_size: Name = Field(DEFAULT_VM_SIZE, description="VM size of each node.")
    max_pods: Annotated[Integer, published(1, MOST_PODS)] = Field(
        DEFAULT_MAX_PODS, description="Most pods on a node."
    )
    enable_auto_scaling: Boolean = Field(
        False,
        description="`azlocal autoscale` sets the number of nodes, and `up` keeps it; addresses are planned for "
        "maxCount nodes.",
    )
    min_count: Annotated[Integer, published(1, 64)] | None = Field(
        None, description="With autoscaling: the least nodes."
    )
    max_count: Annotated[Integer, published(1, 64)] | None = Field(
        None, description="With autoscaling: the most nodes."
    )
    os_type: Annotated[Literal["Linux", "Windows"], Refused(("Windows",))] = Field(
        "Linux", description="Linux; Windows nodes aren't built here."
    )
    os_sku: Annotated[Name, published(enum=[sku for skus in OS_SKUS.values() for sku in skus])] | None = Field(
        None, alias="osSKU", description="Azure's name of the nodes' system; without effect here."
    )
    node_labels: dict[Annotated[str, LABEL_KEY], Annotated[str, LABEL_VALUE]] = Field(
        {}, description="Kubernetes labels of the nodes."
    )
    node_taints: tuple[Annotated[str, TAINT], ...] = Field((), description="Kubernetes taints, key=value:Effect.")
    upgrade_settings: UpgradeSettings = Field(UpgradeSettings.model_construct())

    @property
    def planned_nodes(self) -> int:
        """Return how many nodes the plan holds addresses for: `maxCount` where autoscaling is on."""
        most = self.max_count if self.enable_auto_scaling and self.max_count is not None else self.count
        return max(0, self.count, most)

    def sized(self, size: int | None) -> "AgentPool":
        """Return the pool with as many nodes as it is to have, within its bounds.

        Args:
            size: How many it has; None where it begins. Without autoscaling, or with bounds that a rule refuses,
                `count` counts.
        """
        low, high = self.min_count, self.max_count
        if size is None or not self.enable_auto_scaling or low is None or high is None:
            return self
        return self.model_copy(update={"count": min(max(size, low), high)}) if low <= self.count <= high else self


class NetworkProfile(Model):
    """Pod and service networks; AKS fixes the service network to 10.96.0.0/12 (IP)."""

    pod_cidr: Prefix = Field(IPv4Interface("10.244.0.0/16"), description="Overlay, pods only.")
    service_cidr: Prefix = Field(IPv4Interface("10.96.0.0/12"), description="ClusterIP services.")
    network_policy: Literal["calico", "Calico"] = Field("calico", description="The network plugin.")


class LoadBalancer(Model):
    """Addresses that MetalLB (L2) gives to services: ranges, or how many, or both (LB, LBCLI).

    With both, the ranges say where and the count says how many the services need.
    """

    addresses: tuple[Ranges, ...] = Field(
        (), description="Ranges a-b or prefixes, in the nodes' subnet and outside its pools."
    )
    count: Annotated[Integer, published(0, 256)] | None = Field(None, description="How many; we choose them.")

    @property
    def ranges(self) -> list[AddressRange]:
        """Return the hand-written ranges, in the order of the file."""
        return [span for text in self.addresses for span in parse_ranges(text)]


class AddOn(Model):
    """One add-on of a cluster."""

    values: dict[str, Any] = Field({}, description="Helm values of its chart, laid over azlocal's own.")


class LoadBalancerAddOn(AddOn):
    """MetalLB, which another load balancer can stand in for."""

    enabled: Boolean = Field(
        True, description="false: the planned addresses are for a load balancer of your own, such as Azure's."
    )


class AddOns(Model):
    """What people want different in the add-ons that every cluster gets."""

    calico: AddOn = Field(AddOn.model_construct(), description="The network plugin (VXLAN).")
    metallb: LoadBalancerAddOn = Field(LoadBalancerAddOn.model_construct(), description="The load balancer (ARP).")
    local_path_provisioner: AddOn = Field(
        AddOn.model_construct(), description="The provisioner of volumes on node disks."
    )

    def by_name(self) -> dict[str, AddOn]:
        """Return the add-ons that are wanted, by the names of their Helm releases."""
        add_ons: dict[str, AddOn] = {"calico": self.calico}
        if self.metallb.enabled:
            add_ons["metallb"] = self.metallb
        return {**add_ons, "local-path-provisioner": self.local_path_provisioner}


class AutoUpgradeProfile(Model):
    """What of a cluster is brought up to date without an edit (AKS: managedClusters, autoUpgradeProfile)."""

    node_os_upgrade_channel: Literal["None", "NodeImage"] = Field(
        "None",
        alias="nodeOSUpgradeChannel",
        description="NodeImage: `up` replaces nodes, one at a time, where azlocal has a newer image of their "
        "Kubernetes version. None: they keep the image that they were made from.",
    )


class SnapshotSchedule(Model):
    """Snapshots of etcd by a timer of the host, beside those that `up` takes before changes. Not AKS's."""

    every_hours: Annotated[Integer, Field(ge=1, le=24)] = Field(
        24, description="Hours between two, counted from each midnight of the host's clock."
    )
    keep: Annotated[Integer, Field(ge=1, le=48)] = Field(7, description="How many stay on each host.")


class ClusterSpec(Model):
    """One AKS cluster."""

    name: Annotated[Name, CLUSTER_NAME] = Field(
        description="Lower case letters, digits and hyphens; the start of its machines' names."
    )
    kubernetes_version: Annotated[str, KUBERNETES_VERSION] = Field(
        DEFAULT_KUBERNETES_VERSION, description="Patch version, e.g. 1.34.4."
    )
    logical_network: Name = Field(description="Name of a logical network of the site.")
    control_plane: ControlPlane = Field(ControlPlane.model_construct())
    agent_pools: Annotated[tuple[AgentPool, ...], published(minItems=1, maxItems=16)] = Field(
        description="Pools of workers, 1-16."
    )
    network_profile: NetworkProfile = Field(NetworkProfile.model_construct())
    load_balancer: LoadBalancer = Field(LoadBalancer.model_construct())
    provisioning: Provisioning = Field(
        "kubernetes", description="How far: running machines only, for a Kubernetes of your own, or the cluster."
    )
    pod_security: PodSecurity = Field(
        "baseline",
        description="What pods may do where their namespace says nothing (Kubernetes' Pod Security Standards). "
        "A cluster keeps what it was founded with.",
    )
    add_ons: AddOns = Field(AddOns.model_construct())
    storage_profile: StorageProfile = Field(StorageProfile.model_construct())
    auto_upgrade_profile: AutoUpgradeProfile = Field(AutoUpgradeProfile.model_construct())
    auto_scaler_profile: AutoScalerProfile = Field(
        AutoScalerProfile.model_construct(), description="How eagerly `azlocal autoscale` adds and removes nodes."
    )
    snapshots: SnapshotSchedule | None = Field(
        None,
        description="Snapshots of etcd by a timer; absent: `azlocal backup` takes them, and `up` before changes.",
    )
    arc: ClusterArc = Field(
        ClusterArc.model_construct(), description="How it is connected to Azure Arc, where the stack is."
    )
    oidc_issuer_profile: OidcIssuerProfile = Field(OidcIssuerProfile.model_construct())
    security_profile: SecurityProfile = Field(SecurityProfile.model_construct())
    timeout_minutes: Minutes = Field(
        DEFAULT_TIMEOUT_MINUTES,
        description="How long `up` waits for the API server, and then for all of the cluster, until it gives up.",
    )

    @property
    def planned_nodes(self) -> int:
        """Return how many nodes the plan holds addresses for, control planes and workers."""
        return max(0, self.control_plane.count) + sum(pool.planned_nodes for pool in self.agent_pools)

    @property
    def is_issuer(self) -> bool:
        """Tell whether Azure publishes it as an issuer of tokens, whichever of the two keys says so."""
        return self.oidc_issuer_profile.enabled or self.arc.oidc_issuer.enabled

    @property
    def has_workload_identity(self) -> bool:
        """Tell whether its pods may be identities of Entra, whichever of the two keys says so."""
        return self.security_profile.workload_identity.enabled or self.arc.workload_identity


class PlacementSpec(Model):
    """What people want of placement: room that stays free, and machines that stay put."""

    reserve_percent: Annotated[Integer, Field(ge=0, le=90)] | None = Field(
        None,
        description="Percent of each host's memory to keep free. Written: a rule. Absent: 15, where possible.",
    )
    headroom: Literal["host", "none"] | None = Field(
        None,
        description="host: refuse a plan that doesn't survive a host's loss. none: don't look. Absent: warn.",
    )
    pins: dict[Annotated[str, Field(min_length=1, max_length=100)], Name] = Field(
        {}, description="Machines that people place: a-cp-0: node1."
    )


class StackConfig(Model):
    """All `azlocal:` keys of Pulumi.<stack>.yaml."""

    site: Annotated[str, SITE_NAME] = Field(description="Reads hosts/<site>.yaml and netplans/<site>.yaml.")
    deployment_class: DeploymentClass = Field(
        "hyperconverged",
        description="Whose limits hold. resourceBridgeTest: the bridge's three addresses and no clusters.",
    )
    azure_local_release: Annotated[str, RELEASE] | None = Field(
        None, description='Azure Local release, e.g. "2602", whose Kubernetes versions count; absent: the newest.'
    )
    location: Annotated[Name, Example("eastus")] = Field(
        "eastus", description="The Azure region of the Arc resources."
    )
    machine_type: RequestedMachineType = Field(
        "auto", description="How machines run: a KVM guest where one boots, else a container."
    )
    node_image: NodeImageKind = Field(
        "kubernetes",
        description="What machines boot. plain: without Kubernetes, a quarter of the size, and built in a minute; "
        "for clusters with provisioning: machines.",
    )
    ssh_public_keys: tuple[
        Annotated[str, AfterValidator(check_public_key), Example("~/.ssh/id_ed25519.pub")], ...
    ] = Field((), description="Who may log in to the machines: the text of a public key, or the path of its file.")
    probe_addresses: Boolean = Field(
        True, description="Ask on each network, before machines are made, whether somebody has their addresses."
    )
    resource_bridge: ResourceBridge = Field(ResourceBridge.model_construct())
    placement: PlacementSpec = Field(PlacementSpec.model_construct(), description="What people want of placement.")
    arc: ArcSpec | None = Field(
        None, description="Which Azure the clusters are connected to; absent: they aren't."
    )
    clusters: Annotated[tuple[ClusterSpec, ...], published(maxItems=32)] = Field(
        (), description="The AKS clusters, at most 32, or 12 with autoscaling."
    )

    @property
    def images(self) -> tuple[str, ...]:
        """The node images that machines boot, `plain` or Kubernetes versions; the first: for those in no cluster.

        Machines that become no nodes boot the default version's, so that an edit of a cluster's leaves them alone.
        """
        if self.node_image == "plain":
            return ("plain",)
        own = DEFAULT_KUBERNETES_VERSION
        return (own, *sorted(set(self.node_versions.values()) - {own}, key=version_key))

    @property
    def node_versions(self) -> dict[str, str]:
        """Return the Kubernetes version of each cluster whose machines become nodes, by its name."""
        made = (cluster for cluster in self.clusters if cluster.provisioning == "kubernetes")
        return {cluster.name: cluster.kubernetes_version for cluster in made}
