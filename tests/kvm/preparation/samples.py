"""A host as most are: Ubuntu or Debian, prepared but for its network, one NIC with the management address."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from infra.kvm.ownership import Mark
from infra.kvm.preparation import Bridge, HostFacts, Wanted
from infra.kvm.preparation.netplan import Design, design_network
from infra.kvm.preparation.packages import required
from infra.kvm.preparation.parse import Address, Distribution, Link, Route

MARK = Mark("lab", "lab", "urn")
INSTALLER = "/etc/netplan/50-installer.yaml"
STATIC = """
network:
  version: 2
  ethernets:
    eno1:
      addresses: [192.0.2.11/24]
      routes: [{to: default, via: 192.0.2.1}]
      nameservers: {addresses: [192.0.2.53]}
      mtu: 9000
"""
ADDRESS = Address("192.0.2.11/24", is_lasting=True, is_ipv4=True)
ENO1 = Link("eno1", mac="aa:bb:cc:00:00:01", addresses=(ADDRESS,))
ENO2 = Link("eno2", mac="aa:bb:cc:00:00:02")
TAGGED = Bridge("azl-lab-aks", 110)
UNTAGGED = Bridge("azl-lab-lan", 0)


def wants(*bridges: Bridge, uplink: str = "eno1", **changes: Any) -> Wanted:
    return Wanted("lab", MARK, uplink if bridges else None, bridges, **changes)


def facts(**changes: Any) -> HostFacts:
    everything = HostFacts(
        host="node1",
        distribution=Distribution("Debian GNU/Linux 12 (bookworm)", frozenset({"debian"})),
        packages=frozenset(required(wants(TAGGED))),
        units={"libvirtd.service": "enabled"},
        netplan_files={INSTALLER: STATIC},
        links={link.name: link for link in (Link("lo"), ENO1, ENO2)},
        routes=(
            Route("default", "192.0.2.1", "eno1", "static"),
            Route("192.0.2.0/24", None, "eno1", "kernel"),
        ),
    )
    return replace(everything, **changes)


def with_links(*links: Link, **changes: Any) -> HostFacts:
    """Return the host with more interfaces, or others of the same names."""
    plain = facts(**changes)
    return replace(plain, links=dict(plain.links) | {link.name: link for link in links})


def carried_out(before: HostFacts, wanted: Wanted) -> tuple[HostFacts, Design]:
    """Return the host after its network's step, as the kernel would show it."""
    design = design_network(before, wanted)
    assert design.faults == ()
    links = dict(before.links)
    for bridge, port in design.ports.items():
        vlan = next(one.vlan for one in wanted.bridges if one.name == bridge)
        parent = links[port] if port in links else Link(port, "vlan", parent=wanted.uplink, vlan=vlan)
        moved = parent.addresses if design.port else ()
        mac = parent.mac if design.port else _mac(design, bridge)
        links[port] = replace(parent, master=bridge, addresses=())
        links[bridge] = Link(bridge, "bridge", mac=mac, addresses=moved)
    for name in design.stale:
        links.pop(name)
    return replace(before, links=links, own_netplan=design.netplan, own_port=design.port), design


def _mac(design: Design, bridge: str) -> str:
    mac: str = yaml.safe_load(str(design.netplan))["network"]["bridges"][bridge]["macaddress"]
    return mac
