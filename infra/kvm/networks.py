"""libvirt networks on one host."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

import libvirt
from lxml import etree
from lxml.builder import E

from infra.kvm.errors import NotOurs, is_missing
from infra.kvm.ownership import Mark


@dataclass(frozen=True)
class NetworkDefinition:
    """A network as libvirt is to define it; `address_prefix` and `gateway` for NAT only."""

    name: str
    bridge: str
    mode: Literal["nat", "bridge"]
    address_prefix: str | None = None
    gateway: str | None = None

    def to_xml(self, uuid: str) -> str:
        """Return libvirt's description: no DHCP, since every address comes from the plan."""
        network = E.network(E.name(self.name), E.uuid(uuid), E.forward(mode=self.mode))
        if self.mode == "bridge":
            network.append(E.bridge(name=self.bridge))
        else:
            network.append(E.bridge(name=self.bridge, stp="off", delay="0"))
            prefix = IPv4Network(str(self.address_prefix))
            network.append(E.ip(address=str(self.gateway), netmask=str(prefix.netmask)))
        return etree.tostring(network, encoding="unicode")

    @classmethod
    def from_xml(cls, xml: str) -> NetworkDefinition:
        """Read back what stands; unknown forward modes read as what they are and so show as drift."""
        root = etree.fromstring(xml.encode())
        bridge, ip, forward = root.find("bridge"), root.find("ip"), root.find("forward")
        mode: Literal["nat", "bridge"] = (
            "bridge" if forward is not None and forward.get("mode") == "bridge" else "nat"
        )
        prefix = None
        if ip is not None:
            mask = ip.get("netmask") or ip.get("prefix")
            prefix = str(IPv4Network(f"{ip.get('address')}/{mask}", strict=False))
        return cls(
            name=root.findtext("name", ""),
            bridge=bridge.get("name", "") if bridge is not None else "",
            mode=mode,
            address_prefix=prefix,
            gateway=ip.get("address") if ip is not None else None,
        )


def find_network(connection: libvirt.virConnect, name: str) -> libvirt.virNetwork | None:
    """Return the network, None when libvirt says there is none."""
    try:
        return connection.networkLookupByName(name)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def owned_network(connection: libvirt.virConnect, name: str, mark: Mark) -> libvirt.virNetwork | None:
    """Return the network if it is ours.

    Raises:
        NotOurs: one of that name stands and doesn't carry our mark.
    """
    network = find_network(connection, name)
    if network is not None and not mark.owns("network", name, network.UUIDString()):
        raise NotOurs(mark.refusal("network", name, connection.getURI()))
    return network


def remove_network(connection: libvirt.virConnect, name: str, mark: Mark) -> None:
    """Stop and forget the network if it is there."""
    network = owned_network(connection, name, mark)
    if network is None:
        return
    if network.isActive():
        network.destroy()
    if network.isPersistent():
        network.undefine()
