"""Other sites of the project that are on this site's machines: with networks there, or with machines."""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path

from infra.model.network import NetworkMode
from infra.spec.hosts import HostsFile, HostSpec
from infra.spec.machine_names import machine_name
from infra.spec.netplan import Netplan
from infra.spec.reading import LOCK_ENDING, addresses_lock, load_netplan, validate
from infra.spec.tree import read_document

MACHINE_USES = frozenset({"controlPlaneNode", "workerNode", "resourceBridgeNode"})
"""What machines have addresses for, as lock files say it."""

_UPLINK = re.compile(r"""\buplink['"]?\s*:\s*['"]?([^\s'",}]+)""")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another site of the project, which has networks on a machine of this one in the same way.

    Attributes:
        site: Its name.
        host: What this site calls the machine.
        prefixes: Its networks there: name and subnet.
        uplink: The NIC whose VLANs both sites have; None where libvirt makes the networks of both.
        vlans: The VLANs of its networks, in the order of `prefixes`.
        given: What its lock has given out, where the uplink is shared: who has which address.
        vrrp_ids: Likewise who has which VRRP id: VLAN and number.
    """

    site: str
    host: str
    prefixes: tuple[tuple[str, IPv4Interface], ...]
    uplink: str | None = None
    vlans: tuple[int, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    vrrp_ids: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SharedHost:
    """Another site of the project that has a host in common with this one: libvirt there tells them by names.

    Attributes:
        site: Its name.
        host: What this site calls the machine.
        networks: What its networks are called.
        machines: Its machines by their own names, as its lock knows them, each with its stack.
    """

    site: str
    host: str
    networks: tuple[str, ...]
    machines: Mapping[str, str] = field(default_factory=dict)

    @property
    def stacks(self) -> list[str]:
        """Return its stacks that have machines, sorted."""
        return sorted(set(self.machines.values()))


def look_around(
    site: str, hosts: HostsFile, netplan: Netplan, directory: Path
) -> tuple[tuple[Neighbour, ...], tuple[SharedHost, ...]]:
    """Return the other sites that are on this site's machines; none of files that can't be read.

    First those with networks there in the same way, then those with a host in common, one entry a site.
    """
    machines = {host.way.machine: host.name for host in hosts.hosts}
    own = {key: host.name for host in hosts.hosts if (key := _shared(host, hosts, netplan)) is not None}
    uplinks = {uplink for _, uplink in own}
    neighbours: list[Neighbour] = []
    shared: list[SharedHost] = []
    for path in sorted((directory / "hosts").glob("*.yaml")):
        if path.name.endswith(LOCK_ENDING) or path.stem == site or not _may_have(path, uplinks, machines):
            continue
        others, _ = validate(HostsFile, read_document(path, f"hosts/{path.name}"))
        plan = load_netplan(path.stem, directory) if others else None
        if others is None or plan is None:
            continue
        there = _Site(path.stem, others, plan, _recorded(path.stem, directory))
        neighbours += there.neighbours(own)
        shared += there.shared_with(machines)
    return tuple(neighbours), tuple(shared)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What another site's lock says, as far as that can be read."""

    owners: dict[str, str]
    vrrp_ids: dict[tuple[int, int], str]
    machines: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Site:
    """Another site, as its files are."""

    name: str
    hosts: HostsFile
    netplan: Netplan
    recorded: _Recorded

    def neighbours(self, own: Mapping[tuple[tuple[str, int], str | None], str]) -> Iterator[Neighbour]:
        """Yield what it has on machines where both sites' networks are made in the same way."""
        prefixes = [("infrastructure", self.netplan.infrastructure.address_prefix)]
        prefixes += [(network.name, network.address_prefix) for network in self.netplan.logical_networks]
        vlans = (self.netplan.infrastructure.vlan, *(network.vlan for network in self.netplan.logical_networks))
        for host in self.hosts.hosts:
            key = _shared(host, self.hosts, self.netplan)
            if key is not None and key in own:
                owners, ids = (self.recorded.owners, self.recorded.vrrp_ids) if key[1] else ({}, {})
                yield Neighbour(self.name, own[key], tuple(prefixes), key[1], vlans, owners, ids)

    def shared_with(self, machines: Mapping[tuple[str, int], str]) -> Iterator[SharedHost]:
        """Yield what it has on a host that both sites have, if they have one."""
        common = (machines[host.way.machine] for host in self.hosts.hosts if host.way.machine in machines)
        first = next(common, None)
        if first is not None:
            networks = ("infrastructure", *(network.name for network in self.netplan.logical_networks))
            yield SharedHost(self.name, first, networks, self.recorded.machines)


def _recorded(site: str, directory: Path) -> _Recorded:
    path = addresses_lock(directory, site)
    root = read_document(path, f"netplans/{path.name}").root if path.exists() else None
    content = root.value if root is not None else {}
    addresses, ids = content.get("addresses"), content.get("vrrpIds")
    numbers = ids.items() if isinstance(ids, dict) else ()
    entries = {
        address: entry
        for address, entry in (addresses.items() if isinstance(addresses, dict) else ())
        if isinstance(entry, dict) and "owner" in entry
    }
    owners = [str(entry["owner"]).partition("/") for entry in entries.values() if entry.get("use") in MACHINE_USES]
    return _Recorded(
        {address: str(entry["owner"]) for address, entry in entries.items()},
        {(number["vlan"], number["id"]): owner for owner, number in numbers if _is_vrrp_id(number)},
        {machine_name(stack, owner): stack for stack, _, owner in owners},
    )


def _is_vrrp_id(number: object) -> bool:
    return isinstance(number, dict) and isinstance(number.get("vlan"), int) and isinstance(number.get("id"), int)


def _shared(host: HostSpec, hosts: HostsFile, netplan: Netplan) -> tuple[tuple[str, int], str | None] | None:
    """Return what a host's networks share with other sites': the machine, or its uplink; None for a mesh's."""
    mode = network_mode(host, hosts, netplan)
    return None if mode == "mesh" else (host.way.machine, host.uplink if mode == "bridge" else None)


def _may_have(path: Path, uplinks: Container[str | None], machines: Iterable[tuple[str, int]]) -> bool:
    """Tell whether a hosts file may have one of these uplinks or machines: a glance, since most have none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    if None in uplinks or any(uplink in uplinks for uplink in _UPLINK.findall(text)):
        return True
    lowered = text.lower()
    return any(
        word in lowered
        for host, _ in machines
        for word in ((host,) if host != "localhost" else (host, "qemu:///"))
    )


def network_mode(host: HostSpec, hosts: HostsFile, netplan: Netplan) -> NetworkMode:
    """Return how a host carries the networks.

    A host that is alone has its end of a mesh, too, if others could reach it: so machines keep their networks when
    a second host comes, or goes.
    """
    if netplan.transport == "vxlan" and (len(hosts.hosts) > 1 or host.underlay_address):
        return "mesh"
    return "bridge" if host.uplink else "nat"
