"""One file per resource kind, named as its contract under `infra/resources/`."""

from __future__ import annotations

from collections.abc import Mapping

from infra.kvm.connection import Hosts
from infra.provider.kinds.address_probe import AddressProbeKind
from infra.provider.kinds.arc_base import AzureSessions
from infra.provider.kinds.arc_emulator import ArcEmulatorKind
from infra.provider.kinds.arc_registration import ArcRegistrationKind
from infra.provider.kinds.cluster import ClusterKind
from infra.provider.kinds.cluster_identity import ClusterIdentityKind
from infra.provider.kinds.connected_cluster import ConnectedClusterKind
from infra.provider.kinds.control_plane import ControlPlaneKind
from infra.provider.kinds.custom_location import CustomLocationKind
from infra.provider.kinds.extension import ExtensionKind
from infra.provider.kinds.flux_configuration import FluxConfigurationKind
from infra.provider.kinds.host import HostKind
from infra.provider.kinds.image import ImageKind
from infra.provider.kinds.machine import MachineKind
from infra.provider.kinds.network import NetworkKind
from infra.provider.kinds.node_placement import NodePlacementKind
from infra.provider.servicer import AnyKind


def all_kinds() -> Mapping[str, AnyKind]:
    """Return every kind by its type token; they share one set of connections to hosts, and one to Azure."""
    hosts, azure = Hosts(), AzureSessions()
    kinds: tuple[AnyKind, ...] = (
        *(HostKind(hosts), NetworkKind(hosts), ImageKind(hosts), MachineKind(hosts), AddressProbeKind(hosts)),
        *(ClusterIdentityKind(), NodePlacementKind(), ControlPlaneKind(), ClusterKind()),
        *(ArcEmulatorKind(), ArcRegistrationKind(azure), ConnectedClusterKind(azure), ExtensionKind(azure)),
        *(FluxConfigurationKind(azure), CustomLocationKind(azure)),
    )
    return {kind.contract.token: kind for kind in kinds}
