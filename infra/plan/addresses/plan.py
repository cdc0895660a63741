"""The address plan: which address everything gets, and why."""

from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from typing import Any, Literal

from infra.plan.addresses.numbers import address_text
from infra.spec.types import AddressRange

Use = Literal[
    "host",
    "clusterAddress",
    "resourceBridgeNode",
    "resourceBridgeSpare",
    "resourceBridgeVip",
    "gateway",
    "dns",
    "reserved",
    "controlPlaneNode",
    "workerNode",
    "upgradeSpare",
    "controlPlaneVip",
    "loadBalancer",
]

INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True)
class Allocation:
    """One address and who has it.

    Attributes:
        value: The address as an integer; `address` is its text.
        owner: A name of the plan (`a-cp-0`), a host, or whoever the netplan names.
        cluster: The cluster it belongs to, if any.
        use: What it is for.
        why: The reason, in a sentence.
        is_recorded: Whether the lock file keeps it: all that this plan gives out.
    """

    value: int
    owner: str
    cluster: str | None
    use: Use
    why: str
    is_recorded: bool = True

    @property
    def address(self) -> str:
        """Return the address's text."""
        return address_text(self.value)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of design.md."""
        return {
            "address": self.address,
            "owner": self.owner,
            "cluster": self.cluster,
            "use": self.use,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class PoolUse:
    """How full a network's pools are.

    Attributes:
        size: Addresses in the pools.
        required: What the official formula asks of them.
        free: Those that nobody has.
    """

    size: int
    required: int
    free: int


@dataclass(frozen=True, slots=True)
class LoadBalancerUse:
    """How many addresses services have, and how many they need."""

    size: int
    required: int


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One network's addresses.

    Attributes:
        name: `infrastructure`, or the logical network's name.
        address_prefix: The subnet, e.g. `10.220.32.0/24`.
        vlan: VLAN id, 0 for untagged.
        pool: How full its pools are.
        load_balancer: Addresses for services.
        total: The pool's requirement, VIPs that people gave, and load-balancer addresses.
        allocations: Every address that somebody has, in order.
        pools: The addresses that machines can get, sorted; for reports, JSON has the input for that.
    """

    name: str
    address_prefix: IPv4Network
    vlan: int
    pool: PoolUse
    load_balancer: LoadBalancerUse
    total: int
    allocations: tuple[Allocation, ...]
    pools: tuple[AddressRange, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of design.md."""
        pool, balancer = self.pool, self.load_balancer
        return {
            "name": self.name,
            "addressPrefix": str(self.address_prefix),
            "vlan": self.vlan,
            "pool": {"size": pool.size, "required": pool.required, "free": pool.free},
            "loadBalancer": {"size": balancer.size, "required": balancer.required},
            "total": self.total,
            "allocations": [allocation.to_json() for allocation in self.allocations],
        }


@dataclass(frozen=True, slots=True)
class Vrrp:
    """The VRRP id of a virtual address: of a cluster's, or the resource bridge's (`rb`)."""

    owner: str
    vlan: int
    id: int


@dataclass(frozen=True, slots=True)
class AddressPlan:
    """Every network's plan and every VRRP id."""

    instance: str
    networks: tuple[NetworkPlan, ...] = ()
    vrrp_ids: tuple[Vrrp, ...] = ()

    def network(self, name: str) -> NetworkPlan:
        """Return the network of that name.

        Raises:
            KeyError: There is none.
        """
        for network in self.networks:
            if network.name == name:
                return network
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Return what the JSON object of design.md says of addresses."""
        return {
            "networks": [network.to_json() for network in self.networks],
            "vrrpIds": [asdict(vrrp_id) for vrrp_id in self.vrrp_ids],
        }
