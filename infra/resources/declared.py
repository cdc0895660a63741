"""The resource kinds as the program declares them: one class a contract, outputs as attributes.

Apart from the contracts, since these alone need Pulumi's SDK: the plugin, which serves the same contracts, starts
without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import pulumi

from infra.model.machine import MachineType
from infra.model.node import PodSecurity
from infra.resources.address_probe import ADDRESS_PROBE
from infra.resources.arc_emulator import ARC_EMULATOR
from infra.resources.arc_registration import ARC_REGISTRATION
from infra.resources.arguments import (
    AddressProbeArgs,
    ArcEmulatorArgs,
    ArcRegistrationArgs,
    ClusterArgs,
    ClusterIdentityArgs,
    ConnectedClusterArgs,
    ControlPlaneArgs,
    CustomLocationArgs,
    DataCollectionArgs,
    ExtensionArgs,
    FluxConfigurationArgs,
    HostArgs,
    ImageArgs,
    MachineArgs,
    NetworkArgs,
    NodePlacementArgs,
    SnapshotScheduleArgs,
    StackIdentityArgs,
    TokenIssuerArgs,
)
from infra.resources.cluster import CLUSTER
from infra.resources.cluster_identity import CLUSTER_IDENTITY
from infra.resources.connected_cluster import CONNECTED_CLUSTER
from infra.resources.contract import Contract
from infra.resources.control_plane import CONTROL_PLANE
from infra.resources.custom_location import CUSTOM_LOCATION
from infra.resources.data_collection import DATA_COLLECTION
from infra.resources.extension import EXTENSION
from infra.resources.flux_configuration import FLUX_CONFIGURATION
from infra.resources.host import HOST
from infra.resources.image import IMAGE
from infra.resources.machine import MACHINE
from infra.resources.network import NETWORK
from infra.resources.node_placement import NODE_PLACEMENT
from infra.resources.snapshot_schedule import SNAPSHOT_SCHEDULE
from infra.resources.stack_identity import STACK_IDENTITY
from infra.resources.token_issuer import TOKEN_ISSUER

Args = TypeVar("Args", bound=Mapping[str, object])


class Resource(pulumi.CustomResource, Generic[Args]):
    """A resource in the program: inputs by their Python names, outputs as attributes."""

    contract: ClassVar[Contract]

    def __init__(self, resource_name: str, inputs: Args, opts: pulumi.ResourceOptions | None = None) -> None:
        unknown = inputs.keys() - self.contract.inputs.model_fields.keys()
        if unknown:
            raise TypeError(f"{self.contract.token} has no input {', '.join(sorted(unknown))}")
        # A property that isn't named here would not become an attribute.
        properties: dict[str, Any] = dict.fromkeys(self.contract.state.model_fields) | dict(inputs)
        if self.deletes_first(inputs):
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True))
        super().__init__(self.contract.token, resource_name, properties, opts)

    def deletes_first(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether a replacement is only ever made when the old object is gone.

        The plugin says so, too, but isn't asked where a user replaces a resource by hand (`pulumi up --replace`):
        the engine would then make another one of the same name, and remove that as the old one.
        """
        return self.contract.delete_before_replace

    def translate_input_property(self, prop: str) -> str:
        """Give inputs their wire names."""
        return self.contract.wire_names.get(prop, prop)

    def translate_output_property(self, prop: str) -> str:
        """Give outputs their Python names."""
        return self.contract.python_names.get(prop, prop)


class AddressProbe(Resource[AddressProbeArgs]):
    """A probe of one network."""

    contract = ADDRESS_PROBE


class ArcEmulator(Resource[ArcEmulatorArgs]):
    """The emulator of one instance."""

    contract = ARC_EMULATOR
    folder: pulumi.Output[str]
    subscription_id: pulumi.Output[str]
    tenant_id: pulumi.Output[str]
    url: pulumi.Output[str]


class ArcRegistration(Resource[ArcRegistrationArgs]):
    """The registration of one cluster."""

    contract = ARC_REGISTRATION
    name: pulumi.Output[str]


class Cluster(Resource[ClusterArgs]):
    """One cluster of the instance."""

    contract = CLUSTER
    ready: pulumi.Output[bool]


class ClusterIdentity(Resource[ClusterIdentityArgs]):
    """The identity of one cluster."""

    contract = CLUSTER_IDENTITY
    ca_certificate: pulumi.Output[str]
    ca_hash: pulumi.Output[str]
    token: pulumi.Output[str]
    keys: pulumi.Output[dict[str, str]]
    encryption_keys: pulumi.Output[Sequence[str] | None]
    kubeconfig: pulumi.Output[str]
    pod_security: pulumi.Output[PodSecurity | None]


class ConnectedCluster(Resource[ConnectedClusterArgs]):
    """One cluster in Azure Arc."""

    contract = CONNECTED_CLUSTER
    connectivity_status: pulumi.Output[str]
    public_key: pulumi.Output[str]
    agent_version: pulumi.Output[str | None]
    issuer_url: pulumi.Output[str | None]


class ControlPlane(Resource[ControlPlaneArgs]):
    """The control plane of one cluster."""

    contract = CONTROL_PLANE
    kubeconfig: pulumi.Output[str]
    version: pulumi.Output[str]
    cluster_uid: pulumi.Output[str]


class CustomLocation(Resource[CustomLocationArgs]):
    """One custom location."""

    contract = CUSTOM_LOCATION


class DataCollection(Resource[DataCollectionArgs]):
    """What Azure Monitor collects of a connected cluster."""

    contract = DATA_COLLECTION
    workspace_key: pulumi.Output[str | None]


class Extension(Resource[ExtensionArgs]):
    """One extension of a connected cluster."""

    contract = EXTENSION
    provisioning_state: pulumi.Output[str]


class FluxConfiguration(Resource[FluxConfigurationArgs]):
    """One Flux configuration of a connected cluster."""

    contract = FLUX_CONFIGURATION
    compliance_state: pulumi.Output[str | None]


class Host(Resource[HostArgs]):
    """A host of the instance."""

    contract = HOST
    connection: pulumi.Output[str]
    pool: pulumi.Output[str]
    machine_type: pulumi.Output[MachineType]
    machine_type_reason: pulumi.Output[str]
    secure_boot: pulumi.Output[bool]
    tpm: pulumi.Output[bool]


class Image(Resource[ImageArgs]):
    """The node image on one host."""

    contract = IMAGE
    volume: pulumi.Output[str]


class Machine(Resource[MachineArgs]):
    """A machine of the instance."""

    contract = MACHINE
    ssh_host_key: pulumi.Output[str]
    started: pulumi.Output[int]
    name: pulumi.Output[str]

    def deletes_first(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether it is so: a VM that may migrate comes to its new host before the old one forgets it."""
        return super().deletes_first(inputs) and not inputs.get("migrates_from")


class Network(Resource[NetworkArgs]):
    """A network of the instance on one host."""

    contract = NETWORK
    name: pulumi.Output[str]


class NodePlacement(Resource[NodePlacementArgs]):
    """The hosts of one cluster's workers."""

    contract = NODE_PLACEMENT


class SnapshotSchedule(Resource[SnapshotScheduleArgs]):
    """Snapshots of one cluster by a host's timer."""

    contract = SNAPSHOT_SCHEDULE


class StackIdentity(Resource[StackIdentityArgs]):
    """Who the instance belongs to on its hosts."""

    contract = STACK_IDENTITY
    uid: pulumi.Output[str]


class TokenIssuer(Resource[TokenIssuerArgs]):
    """The issuer that a cluster's API servers name."""

    contract = TOKEN_ISSUER
