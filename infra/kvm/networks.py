"""libvirt networks on one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

import libvirt
from lxml import etree
from lxml.builder import E

from infra.kvm.connection import HostSession
from infra.kvm.errors import NotOurs, is_missing
from infra.kvm.meshes import remove_mesh
from infra.kvm.ownership import Mark
from infra.model.network import NetworkMode


@dataclass(frozen=True)
class NetworkDefinition:
    """A network as libvirt is to define it.

    Attributes:
        name: Its name in libvirt.
        bridge: The bridge device.
        mode: nat: libvirt makes the bridge and lets the subnet out; bridge: it stands already; mesh: libvirt makes
            the bridge, and the rest is ours (meshes.py).
        address_prefix: The subnet, where the bridge has an address.
        gateway: The bridge's address.
        mtu: Of the bridge, in bytes, where it isn't the usual 1500.
    """

    name: str
    bridge: str
    mode: NetworkMode
    address_prefix: str | None = None
    gateway: str | None = None
    mtu: int | None = None

    def to_xml(self, uuid: str) -> str:
        """Return libvirt's description: no DHCP, since every address comes from the plan."""
        network = E.network(E.name(self.name), E.uuid(uuid))
        if self.mode == "bridge":
            network.append(E.forward(mode="bridge"))
            network.append(E.bridge(name=self.bridge))
            return etree.tostring(network, encoding="unicode")
        if self.gateway:
            network.append(E.forward(mode="nat" if self.mode == "nat" else "open"))
        network.append(E.bridge(name=self.bridge, stp="off", delay="0"))
        if self.mtu:
            network.append(E.mtu(size=str(self.mtu)))
        if self.gateway:
            prefix = IPv4Network(str(self.address_prefix))
            network.append(E.ip(address=self.gateway, netmask=str(prefix.netmask)))
        return etree.tostring(network, encoding="unicode")

    @classmethod
    def from_xml(cls, xml: str) -> NetworkDefinition:
        """Read back what stands; unknown forward modes read as what they are nearest to and so show as drift."""
        root = etree.fromstring(xml.encode())
        bridge, ip, forward, mtu = root.find("bridge"), root.find("ip"), root.find("forward"), root.find("mtu")
        prefix = None
        if ip is not None:
            mask = ip.get("netmask") or ip.get("prefix")
            prefix = str(IPv4Network(f"{ip.get('address')}/{mask}", strict=False))
        return cls(
            name=root.findtext("name", ""),
            bridge=bridge.get("name", "") if bridge is not None else "",
            mode=_MODES.get(forward.get("mode") if forward is not None else None, "nat"),
            address_prefix=prefix,
            gateway=ip.get("address") if ip is not None else None,
            mtu=int(mtu.get("size", "0")) if mtu is not None else None,
        )


_MODES: Mapping[str | None, NetworkMode] = {"bridge": "bridge", "open": "mesh", None: "mesh"}


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


def remove_network(session: HostSession, name: str, mark: Mark) -> None:
    """Stop and forget the network, with its tunnel and gateway, whatever of them is there."""
    network = owned_network(session.qemu, name, mark)
    if network is None or NetworkDefinition.from_xml(network.XMLDesc()).mode == "mesh":
        remove_mesh(session.shell, name, mark)
    if network is None:
        return
    if network.isActive():
        network.destroy()
    if network.isPersistent():
        network.undefine()
