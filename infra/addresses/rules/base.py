"""What a rule is, and the register of all of them.

To add a rule, write one function that yields faults, in the module it belongs to::

    @rule("vlan-out-of-range", source="API-LNET")
    def vlan_out_of_range(facts: Facts) -> Iterator[Fault]:
        '''A VLAN id lies in 0-4094.'''
"""

from dataclasses import dataclass, field
from functools import cached_property

from infra.addresses.allocate import Outcome
from infra.addresses.claims import Claim, Need, cluster_need, infrastructure_need
from infra.addresses.layout import Network
from infra.addresses.lock import Lock
from infra.addresses.numbers import as_ranges, merged
from infra.addresses.occupants import Occupant
from infra.addresses.vrrp import VrrpUse
from infra.spec.findings import Finding, KeyPath
from infra.spec.loader import FileKind, InstanceSpec
from infra.spec.rules import Fault, Register, Rule
from infra.spec.stack import ClusterSpec
from infra.spec.types import AddressRange
from infra.spec.vm_sizes import VmSize


@dataclass(frozen=True)
class Facts:
    """All that a rule can look at.

    Attributes:
        spec: What people wrote.
        networks: The networks as integers.
        claims: Who needs an address.
        occupants: What has an address by the files alone.
        outcome: What came of the claims.
        vrrp: Who has which VRRP id.
        foreign: Addresses that other instances of the site have, and the owner.
        lock: What earlier plans gave out at the site.
    """

    spec: InstanceSpec
    networks: list[Network]
    claims: list[Claim]
    occupants: list[Occupant]
    outcome: Outcome
    vrrp: list[VrrpUse] = field(default_factory=list)
    foreign: dict[int, str] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    @cached_property
    def logical(self) -> list[Network]:
        """Return the logical networks."""
        return self.networks[1:]

    @cached_property
    def by_name(self) -> dict[str, Network]:
        """Return the logical networks by name; of two with one name, the first."""
        return {network.name: network for network in reversed(self.logical)}

    @cached_property
    def clusters(self) -> list[tuple[KeyPath, ClusterSpec]]:
        """Return the clusters with the place where each stands."""
        return [(("clusters", index), one) for index, one in enumerate(self.spec.stack.clusters)]

    @cached_property
    def vm_sizes(self) -> dict[str, VmSize]:
        """Return every VM size that a machine can have."""
        return self.spec.vm_sizes()

    @cached_property
    def used(self) -> set[str]:
        """Return the names of the logical networks that clusters use."""
        return {cluster.logical_network for _, cluster in self.clusters}

    @cached_property
    def occupied(self) -> list[AddressRange]:
        """Return what is not ours to give: what the files and other instances hold, as sorted ranges."""
        held = (one.span for one in self.occupants if one.role != "dhcp")  # dhcp-meets-plan says what meets a pool
        return merged([*held, *as_ranges(self.foreign)])

    @cached_property
    def _needs(self) -> dict[int, list[tuple[ClusterSpec, Need]]]:
        needs: dict[int, list[tuple[ClusterSpec, Need]]] = {}
        for _, cluster in self.clusters:
            network = self.by_name.get(cluster.logical_network)
            if network is not None:
                needs.setdefault(network.index, []).append((cluster, cluster_need(cluster)))
        return needs

    def cluster_needs(self, network: Network) -> list[tuple[ClusterSpec, Need]]:
        """Return what each cluster asks of a network."""
        return self._needs.get(network.index, [])

    def pin_place(self, claim: Claim) -> tuple[FileKind, KeyPath]:
        """Return where a claim's pin stands: its `hostIP`, or the reservation that names it."""
        if claim.path[-1:] == ("hostIP",):
            return "stack", claim.path
        reservations = enumerate(self.spec.netplan.reservations)
        index = next(index for index, one in reservations if int(one.address) == claim.pin)
        return "netplan", ("reservations", index)

    def needs(self, network: Network) -> list[Need]:
        """Return all that is asked of a network: by the infrastructure, or by each cluster."""
        if network.index == 0:
            return [infrastructure_need(self.spec)]
        return [need for _, need in self.cluster_needs(network)]


RULES: Register[Facts] = Register()
rule = RULES.rule


def check_all(facts: Facts) -> list[Finding]:
    """Return every fault of every rule, errors first, then in the rules' order; of one rule up to a bound."""
    return RULES.check_all(facts, facts.spec.sources)


__all__ = ["RULES", "Facts", "Fault", "Rule", "check_all", "rule"]
