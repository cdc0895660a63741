"""What of ours stands on a host already, and what only looks like it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from infra.kvm.preparation.facts import PreparationFacts
from infra.kvm.preparation.wanted import Wanted


@dataclass(frozen=True)
class Standing:
    """What our files define, and which of their bridges carry somebody.

    Attributes:
        bridges: Our bridges by name, as our file has them.
        vlans: Our VLAN interfaces likewise.
        has_port: Whether our networkd file of the uplink is there.
        faults: A file lies in our place that isn't ours.
    """

    bridges: Mapping[str, Mapping[str, Any]]
    vlans: Mapping[str, Mapping[str, Any]]
    has_port: bool
    faults: tuple[str, ...]


def read_standing(facts: PreparationFacts, wanted: Wanted) -> Standing:
    """Return what our own files say."""
    faults = [
        f"{path} wasn't made for instance {wanted.instance!r} of this stack, and azlocal never changes what it "
        "did not make: move the file away, or give this stack another name"
        for path, text in ((wanted.netplan_path, facts.own_netplan), (wanted.port_path, facts.own_port))
        if text is not None and wanted.mark_line not in text.splitlines()
    ]
    network: Mapping[str, Any] = {}
    if facts.own_netplan is not None and not faults:
        network = _network(facts.own_netplan)
    return Standing(
        bridges=network.get("bridges") or {},
        vlans=network.get("vlans") or {},
        has_port=facts.own_port is not None and not faults,
        faults=tuple(faults),
    )


def is_foreign_bridge(facts: PreparationFacts, wanted: Wanted, standing: Standing, name: str) -> bool:
    """Return whether a bridge of that name stands that somebody else made: it is used and never changed."""
    link = facts.links.get(name)
    if link is None or link.kind != "bridge" or name in standing.bridges:
        return False
    took_over = standing.has_port and f"Bridge={name}" in (facts.own_port or "").splitlines()
    return link.mac != bridge_mac(wanted, name) and not took_over


def carries_somebody(facts: PreparationFacts, standing: Standing, wanted: Wanted, bridge: str) -> bool:
    """Return whether something is plugged into a bridge of ours beside the uplink."""
    own = {*standing.vlans, wanted.uplink, *_own_ports(standing.bridges.get(bridge, {}))}
    return any(link.master == bridge and link.name not in own for link in facts.links.values())


def bridge_mac(wanted: Wanted, bridge: str) -> str:
    """Return the MAC address of a bridge of ours, drawn from its owner and name: a mark that the kernel keeps."""
    digits = wanted.mark.uuid("bridge", bridge).replace("-", "")
    return ":".join(("02", *(digits[index : index + 2] for index in range(0, 10, 2))))


def _own_ports(bridge: Mapping[str, Any]) -> list[str]:
    return [str(port) for port in bridge.get("interfaces") or []]


def _network(text: str) -> Mapping[str, Any]:
    """Return what our file defines; one that somebody has broken defines nothing, and is written again."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    network = content.get("network") if isinstance(content, dict) else None
    return network if isinstance(network, dict) else {}
