"""Which addresses are looked for on which network before machines are made. Pure."""

from dataclasses import dataclass
from typing import Final

from infra.plan.addresses import AddressPlan
from infra.plan.host_networks import HostNetwork
from infra.plan.topology import Machine, Topology

_OTHERS_MAY_HAVE: Final = frozenset({"host", "gateway", "dns", "reserved"})


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked on a network.

    Attributes:
        network: The network, on a host that is on it.
        addresses: What each address is planned for.
        own_macs: Hardware addresses of the instance's own machines there.
    """

    network: HostNetwork
    addresses: dict[str, str]
    own_macs: tuple[str, ...]


def address_probes(plan: AddressPlan, topology: Topology) -> tuple[Probe, ...]:
    """Return a probe for every network that others can be on: of one host's own NAT network nobody else is part.

    Args:
        plan: The plan.
        topology: What was decided with it.
    """
    probes: dict[str, Probe] = {}
    for network in topology.networks:
        known = probes.get(network.libvirt_name)
        if network.mode != "nat" and (known is None or network.holds_gateway):
            probes[network.libvirt_name] = Probe(
                network,
                _addresses(plan, network, topology.machines),
                tuple(sorted(machine.mac_address for machine in _on(network, topology.machines))),
            )
    return tuple(probe for probe in probes.values() if probe.addresses)


def _addresses(plan: AddressPlan, network: HostNetwork, machines: tuple[Machine, ...]) -> dict[str, str]:
    # Several may share a VLAN.
    carried = {network.network} | {machine.network for machine in _on(network, machines)}
    return {
        allocation.address: allocation.owner
        for planned in plan.networks
        if planned.name in carried
        for allocation in planned.allocations
        if allocation.use not in _OTHERS_MAY_HAVE
    }


def _on(network: HostNetwork, machines: tuple[Machine, ...]) -> list[Machine]:
    return [machine for machine in machines if machine.libvirt_network == network.libvirt_name]
