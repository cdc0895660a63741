"""A VRRP id for each virtual address: unique on its VLAN, drawn from the name, kept by the lock.

Two groups with one id on one VLAN fight over each other's address (openshift/installer #2966). The draw spreads
the ids, because routers mostly sit at the low ones, and gives the same id where there is no lock yet.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.plan.addresses.layout import Network
from infra.plan.addresses.lock import Lock, VrrpId
from infra.plan.inventory import BRIDGE
from infra.spec.findings import KeyPath
from infra.spec.loader import InstanceSpec
from infra.spec.netplan import Netplan

MAX_ID = 255


@dataclass(frozen=True, slots=True)
class VrrpUse:
    """Who has which id.

    Attributes:
        owner: The cluster, or `rb` for the resource bridge.
        network: Index of its network.
        given: The VLAN and the id; None where the VLAN has none left.
        holder: Who else has the id, if somebody does.
        path: Where the owner stands in the stack file.
    """

    owner: str
    network: int
    given: VrrpId | None
    holder: str | None
    path: KeyPath


def assign_vrrp_ids(spec: InstanceSpec, networks: list[Network], lock: Lock) -> list[VrrpUse]:
    """Return an id for the bridge and every cluster: the one on record, else the first free one from the draw."""
    taken = dict(_taken(spec.netplan, networks))
    start = f"{spec.name}/"
    taken.update({vrrp_id: owner for owner, vrrp_id in lock.vrrp.items() if not owner.startswith(start)})
    wanted = list(_wanted(spec, networks))
    uses: dict[str, VrrpUse] = {}
    for owner, network, path in wanted:
        recorded = lock.vrrp.get(start + owner)
        if recorded and recorded.vlan == network.vlan and 1 <= recorded.number <= MAX_ID and owner not in uses:
            uses[owner] = VrrpUse(owner, network.index, recorded, taken.get(recorded), path)
            taken.setdefault(recorded, start + owner)
    for owner, network, path in wanted:
        if owner not in uses:
            drawn = _draw(start + owner, network.vlan, taken)
            uses[owner] = VrrpUse(owner, network.index, drawn, None, path)
            if drawn:
                taken[drawn] = start + owner
    return [uses[owner] for owner in dict.fromkeys(owner for owner, _, _ in wanted)]


def _wanted(spec: InstanceSpec, networks: list[Network]) -> Iterator[tuple[str, Network, KeyPath]]:
    yield BRIDGE, networks[0], ("resourceBridge",)
    by_name = {network.name: network for network in reversed(networks) if network.index}
    for index, cluster in sorted(enumerate(spec.stack.clusters), key=lambda pair: pair[1].name):
        network = by_name.get(cluster.logical_network)
        if network is not None:
            yield cluster.name, network, ("clusters", index)


def _taken(netplan: Netplan, networks: list[Network]) -> Iterator[tuple[VrrpId, str]]:
    parts = [
        netplan.infrastructure.taken_vrrp_ids,
        *(logical.taken_vrrp_ids for logical in netplan.logical_networks),
    ]
    for network, ids in zip(networks, parts, strict=True):
        for number in ids:
            yield VrrpId(network.vlan, number), f"takenVrrpIds of network {network.name}"


def _draw(name: str, vlan: int, taken: Mapping[VrrpId, str]) -> VrrpId | None:
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    ids = (VrrpId(vlan, (start + step) % MAX_ID + 1) for step in range(MAX_ID))
    return next((candidate for candidate in ids if candidate not in taken), None)
