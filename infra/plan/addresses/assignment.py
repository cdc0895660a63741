"""Who has which address and by what, as the planner decided it: what a plan shows, and what rules look at."""

from dataclasses import dataclass
from functools import cached_property

from infra.plan.addresses.allocate import Outcome
from infra.plan.addresses.claims import Claim, Need, cluster_need, infrastructure_need
from infra.plan.addresses.layout import Network
from infra.plan.addresses.numbers import as_ranges, merged
from infra.plan.addresses.occupants import Occupant
from infra.plan.addresses.vrrp import VrrpUse
from infra.spec.loader import InstanceSpec
from infra.spec.stack import ClusterSpec
from infra.spec.types import AddressRange


@dataclass(frozen=True)
class Assignment:
    """What was decided about addresses, and from what.

    Attributes:
        spec: What people wrote.
        networks: The networks as integers.
        claims: Who needs an address.
        occupants: What has an address by the files alone.
        outcome: What came of the claims.
        vrrp: Who has which VRRP id.
        foreign: Addresses that other instances of the site have, and the owner.
    """

    spec: InstanceSpec
    networks: list[Network]
    claims: list[Claim]
    occupants: list[Occupant]
    outcome: Outcome
    vrrp: list[VrrpUse]
    foreign: dict[int, str]

    @cached_property
    def logical(self) -> list[Network]:
        """Return the logical networks."""
        return self.networks[1:]

    @cached_property
    def by_name(self) -> dict[str, Network]:
        """Return the logical networks by name; of two with one name, the first."""
        return {network.name: network for network in reversed(self.logical)}

    @cached_property
    def occupied(self) -> list[AddressRange]:
        """Return what is not ours to give: what the files and other instances hold, as sorted ranges."""
        # dhcp-meets-plan says what meets a pool
        held = (occupant.span for occupant in self.occupants if occupant.role != "dhcp")
        return merged([*held, *as_ranges(self.foreign)])

    @cached_property
    def _needs(self) -> dict[int, list[tuple[ClusterSpec, Need]]]:
        needs: dict[int, list[tuple[ClusterSpec, Need]]] = {}
        for cluster in self.spec.stack.clusters:
            network = self.by_name.get(cluster.logical_network)
            if network is not None:
                needs.setdefault(network.index, []).append((cluster, cluster_need(cluster)))
        return needs

    def cluster_needs(self, network: Network) -> list[tuple[ClusterSpec, Need]]:
        """Return what each cluster asks of a network."""
        return self._needs.get(network.index, [])

    def needs(self, network: Network) -> list[Need]:
        """Return all that is asked of a network: by the infrastructure, or by each cluster."""
        if network.index == 0:
            return [infrastructure_need(self.spec)]
        return [need for _, need in self.cluster_needs(network)]
