"""What the program may set of each resource kind. `python -m scripts.generate_arguments` writes this file.

Names are the program's at the top, the wire's inside. The plugin checks that nothing needed is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from pulumi import Input as Input  # for those that build arguments, and know no engine


class AddressProbeArgs(TypedDict, total=False):
    """What the program says of a probe."""

    instance: Input[str]
    connection: Input[str]
    network: Input[str]
    bridge: Input[str]
    addresses: Input[Mapping[str, Input[str]]]
    own_macs: Input[Sequence[Input[str]]]


class ArcEmulatorArgs(TypedDict, total=False):
    """What the program says of the emulator."""

    instance: Input[str]
    agent_address: Input[str]


class AzureAccessArgs(TypedDict, total=False):
    """Which Azure, for whoever runs Pulumi; the Azure resource itself doesn't have it."""

    cloud: Input[Literal["AzureCloud", "AzureUSGovernment", "AzureChinaCloud", "custom", "emulator"]]
    tenantId: Input[str | None]
    resourceManager: Input[str | None]
    caFile: Input[str | None]
    emulatorFolder: Input[str | None]


class ArcRegistrationArgs(TypedDict, total=False):
    """What the program says of a registration."""

    access: Input[AzureAccessArgs]
    subscription_id: Input[str]
    resource_group: Input[str]
    name: Input[str]
    ca_hash: Input[str]


class MemberArgs(TypedDict, total=False):
    """A machine of a cluster."""

    name: Input[str]
    role: Input[Literal["controlPlane", "worker"]]
    address: Input[str]
    sshHostKey: Input[str]
    started: Input[int]


class NodeMarksArgs(TypedDict, total=False):
    """What azlocal writes on a Node object: other labels and taints of it are somebody else's."""

    labels: Input[Mapping[str, Input[str]]]
    taints: Input[Sequence[Input[str]]]


class GeneratedSecretArgs(TypedDict, total=False):
    """A Secret with a random key that add-ons need to start; in the cluster alone, and never in state."""

    namespace: Input[str]
    name: Input[str]
    key: Input[str]


class ClusterArgs(TypedDict, total=False):
    """What the program says of a cluster."""

    instance: Input[str]
    cluster: Input[str]
    kubeconfig: Input[str]
    token: Input[str | None]
    identity_files: Input[Sequence[Input[str]]]
    members: Input[Sequence[Input[MemberArgs]]]
    nodes: Input[Mapping[str, Input[NodeMarksArgs]]]
    namespaces: Input[Sequence[Input[str]]]
    add_ons: Input[Mapping[str, Input[int]]]
    generated_secrets: Input[Sequence[Input[GeneratedSecretArgs]]]
    ready: Input[bool]


class ClusterIdentityArgs(TypedDict, total=False):
    """What the program says of an identity."""

    instance: Input[str]
    cluster: Input[str]
    endpoint: Input[str]
    pod_security: Input[Literal["privileged", "baseline", "restricted"] | None]


class CustomLocationsSettingsArgs(TypedDict, total=False):
    """The custom-locations feature."""

    enabled: Input[bool]
    oid: Input[str | None]


class AzureRbacSettingsArgs(TypedDict, total=False):
    """Azure roles in the cluster."""

    enabled: Input[bool]
    skipAuthzCheck: Input[Sequence[Input[str]]]


class OidcIssuerSettingsArgs(TypedDict, total=False):
    """The cluster as an OpenID Connect issuer."""

    enabled: Input[bool]
    selfHostedIssuerUrl: Input[str | None]


class ProxySettingsArgs(TypedDict, total=False):
    """The proxy through which the agents reach Azure; its URLs may have a password."""

    httpsProxy: Input[str | None]
    httpProxy: Input[str | None]
    noProxy: Input[Sequence[Input[str]]]


class ConnectedClusterArgs(TypedDict, total=False):
    """What the program says of a connected cluster. What replaces it can't be changed in Azure either."""

    access: Input[AzureAccessArgs]
    subscription_id: Input[str]
    resource_group: Input[str]
    name: Input[str]
    location: Input[str]
    cluster_uid: Input[str]
    kubeconfig: Input[str]
    tags: Input[Mapping[str, Input[str]]]
    distribution: Input[str]
    infrastructure: Input[str]
    azure_hybrid_benefit: Input[Literal["True", "False", "NotApplicable"]]
    agent_auto_upgrade: Input[bool]
    release_train: Input[Literal["stable", "preview"]]
    cluster_connect: Input[bool]
    custom_locations: Input[CustomLocationsSettingsArgs]
    azure_rbac: Input[AzureRbacSettingsArgs]
    oidc_issuer: Input[OidcIssuerSettingsArgs]
    workload_identity: Input[bool]
    proxy: Input[ProxySettingsArgs | None]
    proxy_ca: Input[str | None]
    private_link_scope_id: Input[str | None]
    gateway_id: Input[str | None]
    register_providers: Input[bool]
    probe_image: Input[str | None]
    connected: Input[bool]


class ControlPlaneArgs(TypedDict, total=False):
    """What the program says of a control plane."""

    instance: Input[str]
    cluster: Input[str]
    kubeconfig: Input[str]
    token: Input[str]
    identity_files: Input[Sequence[Input[str]]]
    members: Input[Sequence[Input[MemberArgs]]]
    images: Input[Sequence[Input[str]]]
    archives: Input[Mapping[str, Input[str]]]


class CustomLocationArgs(TypedDict, total=False):
    """What the program says of a custom location."""

    access: Input[AzureAccessArgs]
    subscription_id: Input[str]
    resource_group: Input[str]
    name: Input[str]
    location: Input[str]
    cluster_id: Input[str]
    connection: Input[str]
    namespace: Input[str]
    extension_ids: Input[Sequence[Input[str]]]
    display_name: Input[str]
    tags: Input[Mapping[str, Input[str]]]


class DataCollectionArgs(TypedDict, total=False):
    """What the program says of a collection."""

    access: Input[AzureAccessArgs]
    cluster_id: Input[str]
    connection: Input[str]
    name: Input[str]
    collects: Input[Literal["logs", "metrics"]]
    workspace_id: Input[str]
    settings: Input[str | None]
    tags: Input[Mapping[str, Input[str]]]
    register_providers: Input[bool]
    complete: Input[bool]


class ExtensionArgs(TypedDict, total=False):
    """What the program says of an extension."""

    access: Input[AzureAccessArgs]
    cluster_id: Input[str]
    connection: Input[str]
    name: Input[str]
    extension_type: Input[str]
    release_train: Input[str]
    release_namespace: Input[str | None]
    target_namespace: Input[str | None]
    version: Input[str | None]
    configuration_settings: Input[Mapping[str, Input[str]]]
    configuration_protected_settings: Input[Mapping[str, Input[str]]]
    installed: Input[bool]


class RepositoryRefArgs(TypedDict, total=False):
    """What of the repository is followed."""

    branch: Input[str | None]
    tag: Input[str | None]
    semver: Input[str | None]
    commit: Input[str | None]


class GitRepositoryArgs(TypedDict, total=False):
    """The repository."""

    url: Input[str]
    repositoryRef: Input[RepositoryRefArgs]
    syncIntervalInSeconds: Input[int]
    timeoutInSeconds: Input[int]
    httpsUser: Input[str | None]
    httpsCACert: Input[str | None]
    sshKnownHosts: Input[str | None]
    localAuthRef: Input[str | None]


class KustomizationArgs(TypedDict, total=False):
    """A folder of it that is applied."""

    path: Input[str]
    dependsOn: Input[Sequence[Input[str]]]
    syncIntervalInSeconds: Input[int]
    timeoutInSeconds: Input[int]
    retryIntervalInSeconds: Input[int | None]
    prune: Input[bool]
    force: Input[bool]
    wait: Input[bool]


class FluxConfigurationArgs(TypedDict, total=False):
    """What the program says of a Flux configuration."""

    access: Input[AzureAccessArgs]
    cluster_id: Input[str]
    connection: Input[str]
    name: Input[str]
    namespace: Input[str]
    scope: Input[Literal["cluster", "namespace"]]
    suspend: Input[bool]
    git_repository: Input[GitRepositoryArgs]
    kustomizations: Input[Mapping[str, Input[KustomizationArgs]]]
    configuration_protected_settings: Input[Mapping[str, Input[str]]]


class BridgeArgs(TypedDict, total=False):
    """A bridge on the host's uplink."""

    name: Input[str]
    vlan: Input[int]


class HostArgs(TypedDict, total=False):
    """What the program says of a host."""

    instance: Input[str]
    name: Input[str]
    connection: Input[str]
    storage_directory: Input[str]
    requested_machine_type: Input[Literal["auto", "vm", "container", "emulated"]]
    prepare: Input[bool]
    uplink: Input[str | None]
    bridges: Input[Sequence[Input[BridgeArgs]]]
    machines: Input[Sequence[Input[str]]]
    owner: Input[str | None]
    lost: Input[bool]
    prepared: Input[bool]
    available: Input[bool]


class ArtifactArgs(TypedDict, total=False):
    """A file on the machine that runs Pulumi."""

    path: Input[str]
    sha256: Input[str]
    format: Input[Literal["raw", "qcow2"]]
    virtualSize: Input[int]


class ImageNeighbourArgs(TypedDict, total=False):
    """Another host of the instance, from which the image may come once it is there."""

    name: Input[str]
    connection: Input[str]
    address: Input[str | None]


class ImageArgs(TypedDict, total=False):
    """What the program says of an image."""

    instance: Input[str]
    connection: Input[str]
    pool: Input[str]
    machine_type: Input[Literal["vm", "container", "emulated"] | None]
    vm: Input[ArtifactArgs | None]
    container: Input[ArtifactArgs | None]
    neighbours: Input[Sequence[Input[ImageNeighbourArgs]]]
    volume: Input[str | None]


class NodeArgs(TypedDict, total=False):
    """The Kubernetes node that a machine becomes, without secrets."""

    cluster: Input[str]
    role: Input[Literal["controlPlane", "worker"]]
    version: Input[str]
    endpoint: Input[str]
    caCertificate: Input[str]
    caHash: Input[str]
    number: Input[int]
    vrrpId: Input[int]
    podCidr: Input[str]
    serviceCidr: Input[str]
    imageTags: Input[Mapping[str, Input[str]]]
    maxPods: Input[int | None]
    labels: Input[Mapping[str, Input[str]]]
    taints: Input[Sequence[Input[str]]]


class FirstBootArgs(TypedDict, total=False):
    """What the machine is told once, through its seed."""

    hostname: Input[str]
    address: Input[str]
    gateway: Input[str]
    dnsServers: Input[Sequence[Input[str]]]
    authorizedKeys: Input[Sequence[Input[str]]]
    node: Input[NodeArgs | None]
    mtu: Input[int | None]


class NodeSecretsArgs(TypedDict, total=False):
    """What a node's seed holds besides, and what no libvirt record and no digest ever does."""

    token: Input[str]
    keys: Input[Mapping[str, Input[str]]]
    encryptionKeys: Input[Sequence[Input[str]] | None]


class NodeSettingsArgs(TypedDict, total=False):
    """What a node is told at its first boot, and what no later difference replaces it for."""

    podSecurity: Input[Literal["privileged", "baseline", "restricted"] | None]
    peers: Input[Sequence[Input[str]]]
    joinsWorkers: Input[bool | None]
    unicastVrrp: Input[bool | None]


class MachineArgs(TypedDict, total=False):
    """What the program says of a machine."""

    instance: Input[str]
    connection: Input[str]
    pool: Input[str]
    name: Input[str]
    machine_type: Input[Literal["vm", "container", "emulated"]]
    image: Input[str]
    network: Input[str]
    mac_address: Input[str]
    first_boot: Input[FirstBootArgs]
    node_secrets: Input[NodeSecretsArgs | None]
    node_settings: Input[NodeSettingsArgs | None]
    vcpus: Input[int]
    memory_mib: Input[int]
    disk_gib: Input[int]
    secure_boot: Input[bool]
    tpm: Input[bool]
    seed_digest: Input[str | None]
    reached_through: Input[str | None]
    identity_files: Input[Sequence[Input[str]]]
    running: Input[bool]
    migrates_from: Input[Sequence[Input[str]]]


class TunnelArgs(TypedDict, total=False):
    """A host's end of a VXLAN mesh."""

    vni: Input[int]
    local: Input[str]
    peers: Input[Sequence[Input[str]]]


class NetworkArgs(TypedDict, total=False):
    """What the program says of a network."""

    instance: Input[str]
    connection: Input[str]
    name: Input[str]
    bridge: Input[str]
    mode: Input[Literal["nat", "bridge", "mesh"]]
    address_prefix: Input[str | None]
    gateway: Input[str | None]
    mtu: Input[int | None]
    tunnel: Input[TunnelArgs | None]
    active: Input[bool]
    autostart: Input[bool]


class SpareArgs(TypedDict, total=False):
    """A machine that stands only while another one is replaced, in all else as that one."""

    name: Input[str]
    address: Input[str]
    macAddress: Input[str]


class NodePlacementArgs(TypedDict, total=False):
    """What the program says of the workers' hosts."""

    instance: Input[str]
    cluster: Input[str]
    kubeconfig: Input[str]
    hosts: Input[Mapping[str, Input[str]]]
    lost: Input[Sequence[Input[str]]]
    live: Input[Sequence[Input[str]]]
    control_planes: Input[Mapping[str, Input[str]]]
    etcd_keys: Input[Mapping[str, Input[str]]]
    token: Input[str | None]
    identity_files: Input[Sequence[Input[str]]]
    namespaces: Input[Sequence[Input[str]]]
    version: Input[str]
    final_version: Input[str]
    rolls_images: Input[bool]
    surging: Input[Mapping[str, Input[str]]]
    deletes_volumes: Input[bool]
    archives: Input[Mapping[str, Input[str]]]
    spare: Input[SpareArgs | None]


class SnapshotScheduleArgs(TypedDict, total=False):
    """What the program says of a schedule."""

    instance: Input[str]
    connection: Input[str]
    cluster: Input[str]
    members: Input[Sequence[Input[str]]]
    every_hours: Input[int]
    keep: Input[int]
    ca_hash: Input[str]
    etcd_keys: Input[Mapping[str, Input[str]]]


class StackIdentityArgs(TypedDict, total=False):
    """What the program says of an identity."""

    instance: Input[str]


class TokenIssuerArgs(TypedDict, total=False):
    """What the program says of an issuer."""

    instance: Input[str]
    cluster: Input[str]
    kubeconfig: Input[str]
    identity_files: Input[Sequence[Input[str]]]
    members: Input[Sequence[Input[MemberArgs]]]
    signing_key: Input[str]
    issuer_url: Input[str | None]
