"""A host as most are: Ubuntu or Debian, prepared but for its network, one NIC with the management address."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import yaml

from infra.hosts.facts.network import Address, Link, Route
from infra.hosts.facts.system import Distribution
from infra.kvm.ownership import Mark
from infra.kvm.preparation import PreparationFacts, Wanted
from infra.kvm.preparation.netplan import Design, design_network
from infra.kvm.preparation.packages import required
from infra.model.host import Bridge

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
ADDRESS = Address("192.0.2.11/24")
ENO1 = Link("eno1", mac="aa:bb:cc:00:00:01", addresses=(ADDRESS,))
ENO2 = Link("eno2", mac="aa:bb:cc:00:00:02")
TAGGED = Bridge(name="azl-lab-aks", vlan=110)
UNTAGGED = Bridge(name="azl-lab-lan", vlan=0)


def wants(*bridges: Bridge, uplink: str = "eno1", **changes: Any) -> Wanted:
    return Wanted("lab", MARK, uplink if bridges else None, bridges, **changes)


def route(destination: str, gateway: str | None, protocol: str) -> Route:
    return Route(ip_network(destination), "eno1", ip_address(gateway) if gateway else None, protocol)


def facts(**changes: Any) -> PreparationFacts:
    everything = PreparationFacts(
        host="node1",
        distribution=Distribution("debian", "Debian GNU/Linux 12 (bookworm)"),
        packages=frozenset(required(wants(TAGGED))),
        units={"libvirtd.service": "enabled"},
        netplan_files={INSTALLER: STATIC},
        links={link.name: link for link in (Link("lo"), ENO1, ENO2)},
        routes=(
            route("0.0.0.0/0", "192.0.2.1", "static"),
            route("192.0.2.0/24", None, "kernel"),
        ),
    )
    return replace(everything, **changes)


def with_links(*links: Link, **changes: Any) -> PreparationFacts:
    """Return the host with more interfaces, or others of the same names."""
    plain = facts(**changes)
    return replace(plain, links=dict(plain.links) | {link.name: link for link in links})


def carried_out(before: PreparationFacts, wanted: Wanted) -> tuple[PreparationFacts, Design]:
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
