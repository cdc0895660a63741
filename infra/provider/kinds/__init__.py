"""One file per resource kind, named as its contract under `infra/resources/`."""

from __future__ import annotations

from collections.abc import Mapping

from infra.kvm.connection import Hosts
from infra.provider.kinds.address_probe import AddressProbeKind
from infra.provider.kinds.cluster import ClusterKind
from infra.provider.kinds.cluster_identity import ClusterIdentityKind
from infra.provider.kinds.control_plane import ControlPlaneKind
from infra.provider.kinds.host import HostKind
from infra.provider.kinds.image import ImageKind
from infra.provider.kinds.machine import MachineKind
from infra.provider.kinds.network import NetworkKind
from infra.provider.kinds.node_placement import NodePlacementKind
from infra.provider.servicer import AnyKind


def all_kinds() -> Mapping[str, AnyKind]:
    """Return every kind by its type token; they share one set of connections."""
    hosts = Hosts()
    kinds: tuple[AnyKind, ...] = (
        *(HostKind(hosts), NetworkKind(hosts), ImageKind(hosts), MachineKind(hosts), AddressProbeKind(hosts)),
        *(ClusterIdentityKind(), NodePlacementKind(), ControlPlaneKind(), ClusterKind()),
    )
    return {kind.contract.token: kind for kind in kinds}
