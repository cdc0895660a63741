"""Which networks each host has, and how each is carried there. Pure.

Three ways: a libvirt NAT network of one host; a bridge on the uplink's VLAN; or a VXLAN mesh between hosts that
have no VLANs (RFC 7348, unicast: every host names all the others), where one host holds the gateway's address.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from infra.model.network import NetworkMode, Tunnel
from infra.plan.addresses.layout import Network
from infra.spec import InstanceSpec
from infra.spec.hosts import HostSpec

VXLAN_OVERHEAD = 50
"""Bytes that VXLAN over IPv4 adds to a frame's payload: Ethernet 14, IP 20, UDP 8, VXLAN 8 (RFC 7348 §5)."""

_BRIDGE_NAME_LENGTH = 15  # IFNAMSIZ without the final zero
_VNI_COUNT = 2**24 - 1  # 0 is left out: devices take it for "none"


@dataclass(frozen=True, slots=True)
class HostNetwork:
    """A network on one host, as libvirt knows it.

    Attributes:
        name: Unique in the instance: `<network>@<host>`.
        host: The host.
        network: The network of the netplan that it carries (the first, where several share it).
        libvirt_name: `<instance>-<network>`.
        bridge: The bridge's interface name, at most 15 characters.
        mode: `nat` (of one host), `bridge` (onto the uplink's VLAN) or `mesh` (VXLAN between hosts).
        uplink: The NIC in mode `bridge`.
        vlan: VLAN id, 0 for untagged.
        address_prefix: The subnet, e.g. `10.220.32.0/24`.
        gateway: The default gateway.
        holds_gateway: Whether this host's bridge has the gateway's address.
        dns_servers: DNS servers.
        tunnel: The way to the other hosts in mode `mesh`.
        mtu: Bytes in a packet, where it isn't the usual 1500.
    """

    name: str
    host: str
    network: str
    libvirt_name: str
    bridge: str
    mode: NetworkMode
    uplink: str | None
    vlan: int
    address_prefix: IPv4Network
    gateway: IPv4Address
    holds_gateway: bool
    dns_servers: tuple[IPv4Address, ...]
    tunnel: Tunnel | None
    mtu: int | None


def host_networks(spec: InstanceSpec, layout: Sequence[Network]) -> Iterator[HostNetwork]:
    """Yield every host's networks, those of the first host first.

    Args:
        spec: What people wrote.
        layout: The netplan's networks.
    """
    vnis = _numbers(f"{spec.name}/{network.name}" for network in layout)
    for host in spec.standing_hosts:
        for network in layout:
            if carrier(spec, host, network, layout) is not network:
                continue
            mode = spec.network_mode(host)
            tunnel = _tunnel(spec, host, network, vnis) if mode == "mesh" else None
            yield HostNetwork(
                name=f"{network.name}@{host.name}",
                host=host.name,
                network=network.name,
                libvirt_name=f"{spec.name}-{network.name}",
                bridge=bridge_name(spec.name, network.name),
                mode=mode,
                uplink=host.uplink if mode == "bridge" else None,
                vlan=network.vlan,
                address_prefix=network.prefix,
                gateway=IPv4Address(network.gateway),
                holds_gateway=spec.holds_gateways(host),
                dns_servers=tuple(map(IPv4Address, network.dns_servers)),
                tunnel=tunnel,
                mtu=spec.netplan.underlay_mtu - VXLAN_OVERHEAD if mode == "mesh" else None,
            )


def carrier(spec: InstanceSpec, host: HostSpec, network: Network, layout: Iterable[Network]) -> Network:
    """Return the network whose bridge carries this one on a host: a VLAN, or a subnet of ours, has one bridge."""

    is_bridged = spec.network_mode(host) == "bridge"

    def segment(other: Network) -> tuple[int, IPv4Network | None]:
        return other.vlan, None if is_bridged else other.prefix

    return next(other for other in layout if segment(other) == segment(network))


def bridge_name(instance: str, network: str) -> str:
    """Return a bridge's interface name: readable where it fits in 15 characters, else drawn from the names."""
    readable = f"azl-{instance}-{network}"
    is_clear = instance.isalnum() and network.isalnum()  # else `a-b`+`c` and `a`+`b-c` would be one
    if is_clear and len(readable) <= _BRIDGE_NAME_LENGTH:
        return readable
    digest = hashlib.sha256(f"{instance}/{network}".encode()).hexdigest()
    return f"azl-{digest}"[:_BRIDGE_NAME_LENGTH]


def _tunnel(spec: InstanceSpec, host: HostSpec, network: Network, vnis: Mapping[str, int]) -> Tunnel:
    name = f"{spec.name}/{network.name}"
    addresses = {standing.name: str(standing.underlay_address) for standing in spec.standing_hosts}
    return Tunnel(
        vni=vnis[name],
        local=addresses[host.name],
        peers=tuple(sorted(address for other, address in addresses.items() if other != host.name)),
    )


def _numbers(names: Iterable[str]) -> dict[str, int]:
    """Return a VNI for each name, drawn from the name; all are different."""
    vnis: dict[str, int] = {}
    for name in sorted(names):
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
        while (vni := 1 + number % _VNI_COUNT) in vnis.values():
            number += 1
        vnis[name] = vni
    return vnis
