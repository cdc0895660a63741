"""Which addresses are looked for on which network before machines are made. Pure."""

from dataclasses import dataclass
from typing import Final

from infra.addresses import AddressPlan
from infra.host_networks import HostNetwork
from infra.topology import Machine, Topology

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
    found: dict[str, Probe] = {}
    for network in topology.networks:
        known = found.get(network.libvirt_name)
        if network.mode != "nat" and (known is None or network.holds_gateway):
            found[network.libvirt_name] = Probe(
                network,
                _addresses(plan, network, topology.machines),
                tuple(sorted(one.mac_address for one in _on(network, topology.machines))),
            )
    return tuple(probe for probe in found.values() if probe.addresses)


def _addresses(plan: AddressPlan, network: HostNetwork, machines: tuple[Machine, ...]) -> dict[str, str]:
    carried = {network.network} | {one.network for one in _on(network, machines)}  # several may share a VLAN
    return {
        one.address: one.owner
        for planned in plan.networks
        if planned.name in carried
        for one in planned.allocations
        if one.use not in _OTHERS_MAY_HAVE
    }


def _on(network: HostNetwork, machines: tuple[Machine, ...]) -> list[Machine]:
    return [one for one in machines if one.libvirt_network == network.libvirt_name]
