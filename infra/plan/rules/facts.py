"""What the rules of a plan look at."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address

from infra.plan.addresses import Assignment, assign
from infra.plan.addresses.claims import Claim
from infra.plan.addresses.layout import Network
from infra.plan.addresses.occupants import Occupant
from infra.plan.inventory import Inventory, PlannedMachine, build_inventory
from infra.plan.locks import LockKind, Locks, Recording
from infra.plan.placement import Placement, plan_placement
from infra.plan.placement.planner import ledger_of
from infra.plan.placement.room import HostRoom, Ledger
from infra.spec.findings import KeyPath
from infra.spec.hosts import HostSpec
from infra.spec.loader import FileKind, InstanceSpec
from infra.spec.machine_names import plan_name
from infra.spec.stack import ClusterSpec
from infra.spec.vm_sizes import VmSize


@dataclass(frozen=True)
class Facts:
    """All that a rule can look at: what people wrote, and what comes of it, made when it is first looked at.

    Attributes:
        spec: What people wrote.
        locks: What earlier plans decided at the site.
        recording: What plans would write into lock files that have to stay as they are; None where they may
            change.
    """

    spec: InstanceSpec
    locks: Locks = field(default_factory=Locks)
    recording: Recording | None = None

    @cached_property
    def inventory(self) -> Inventory:
        """Return the machines by cluster."""
        return build_inventory(self.spec)

    @cached_property
    def machines(self) -> list[PlannedMachine]:
        """Return everything that needs room, held room too."""
        return self.inventory.everything

    @cached_property
    def addresses(self) -> Assignment:
        """Return who has which address, and by what."""
        return assign(self.spec, self.locks.addresses, self.inventory)

    @cached_property
    def placement(self) -> Placement:
        """Return where machines are."""
        return plan_placement(self.spec, self.locks.placement, self.inventory)

    @cached_property
    def ledger(self) -> Ledger:
        """Return what machines leave of the hosts; less the reserve, if that is a rule."""
        return ledger_of(self.placement.placed, self.placement.rooms, self.placement.reserve)

    @property
    def networks(self) -> list[Network]:
        """Return the networks as integers."""
        return self.addresses.networks

    @property
    def logical(self) -> list[Network]:
        """Return the logical networks."""
        return self.addresses.logical

    @property
    def by_name(self) -> dict[str, Network]:
        """Return the logical networks by name; of two with one name, the first."""
        return self.addresses.by_name

    @property
    def claims(self) -> list[Claim]:
        """Return who needs an address."""
        return self.addresses.claims

    @property
    def occupants(self) -> list[Occupant]:
        """Return what has an address by the files alone."""
        return self.addresses.occupants

    @cached_property
    def clusters(self) -> list[tuple[KeyPath, ClusterSpec]]:
        """Return the clusters with the place where each stands."""
        return [(("clusters", index), cluster) for index, cluster in enumerate(self.spec.stack.clusters)]

    @cached_property
    def vm_sizes(self) -> dict[str, VmSize]:
        """Return every VM size that a machine can have."""
        return self.spec.vm_sizes()

    @cached_property
    def used(self) -> set[str]:
        """Return the names of the logical networks that clusters use."""
        return {cluster.logical_network for _, cluster in self.clusters}

    @cached_property
    def standing(self) -> list[Network]:
        """Return the networks that stand on hosts: the infrastructure's, and those that clusters use."""
        return [network for network in self.networks if network.index == 0 or network.name in self.used]

    @property
    def is_meshed(self) -> bool:
        """Tell whether networks reach several hosts through tunnels between them."""
        return self.spec.netplan.transport == "vxlan" and len(self.spec.hosts.hosts) > 1

    @cached_property
    def tunnel_ends(self) -> list[tuple[KeyPath, HostSpec, IPv4Address]]:
        """Return where hosts of a mesh reach each other: the place that says it, the host, its address."""
        return [
            (("hosts", index, "tunnelAddress" if host.tunnel_address else "connection"), host, address)
            for index, host in enumerate(self.spec.hosts.hosts if self.is_meshed else ())
            if (address := host.underlay_address) is not None
        ]

    @cached_property
    def pins(self) -> dict[str, str]:
        """Return the machines pinned to hosts by the plan's names, each with the name that people wrote."""
        owners = {machine.owner for machine in self.machines}
        pins: dict[str, str] = {}
        for name in self.spec.stack.placement.pins:
            pins.setdefault(plan_name(name, self.spec.name, owners) or name, name)
        return pins

    @cached_property
    def taking(self) -> list[HostRoom]:
        """Return the hosts that take machines."""
        return [room for room in self.placement.rooms if room.takes]

    @cached_property
    def memory(self) -> list[int]:
        """Return the memory of each host that takes machines, less other instances'; nothing unless all is known.

        In MiB, and smallest first.
        """
        known = [room.memory_mib - room.others_mib for room in self.taking if room.memory_mib is not None]
        return sorted(known) if len(known) == len(self.taking) else []

    @cached_property
    def needed(self) -> int:
        """Return what everything takes in MiB: machines at their most, and what upgrades add."""
        return sum(machine.memory_mib for machine in self.machines)

    @cached_property
    def is_short(self) -> bool:
        """Tell whether all hosts but the largest, or the only one, have too little memory in sum."""
        if not self.memory:
            return False
        return self.needed > (sum(self.memory[:-1]) if len(self.memory) > 1 else self.memory[0])

    @cached_property
    def siblings(self) -> "dict[str, Facts]":
        """Return what there is to see of the site's other stacks, by their names."""
        return {
            sibling.name: Facts(
                replace(self.spec, name=sibling.name, stack=sibling.config, siblings=()), self.locks
            )
            for sibling in self.spec.siblings
        }

    def where(self, file: FileKind | LockKind, path: KeyPath) -> str:
        """Name a place in a file that people write, or one of the lock files."""
        match file:
            case "addressLock":
                return f"netplans/{self.spec.lock_path.name}"
            case "placementLock":
                return f"hosts/{self.spec.hosts_lock_path.name}"
            case _:
                return self.spec.sources.where(file, path)

    def pin_place(self, claim: Claim) -> tuple[FileKind, KeyPath]:
        """Return where a claim's pin stands: its `hostIP`, or the reservation that names it."""
        if claim.path[-1:] == ("hostIP",):
            return "stack", claim.path
        reservations = enumerate(self.spec.netplan.reservations)
        index = next(index for index, reservation in reservations if int(reservation.address) == claim.pin)
        return "netplan", ("reservations", index)

    def host_path(self, name: str, *keys: str) -> KeyPath:
        """Return where a host stands in hosts/<site>.yaml, or a key of it."""
        for index, host in enumerate(self.spec.hosts.hosts):
            if host.name == name:
                return "hosts", index, *keys
        return ("hosts",)
