"""The lab's wires: a switch in a network namespace of its own, a port for each host, one for this machine.

Apart from this machine's own network, so that its firewall (which may filter bridges too) has no say in the lab.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import zlib
from ipaddress import IPv4Network
from typing import Any, Final

from infra.lab.boot import NIC
from infra.lab.marks import CONTROLLER, SUBNETS, LabError, controller_link, switch_namespace

_SWITCH: Final = "switch"
_UPLINK: Final = "controller"  # no host may be called that


def choose_subnet(lab: str) -> IPv4Network:
    """Return the lab's management network: always the same, unless this machine has that already.

    Raises:
        LabError: this machine has them all.
    """
    used = _used_networks()
    first = zlib.crc32(lab.encode())
    for attempt in range(256):
        subnet = IPv4Network(f"{SUBNETS}.{(first + attempt) % 256}.0/24")
        if not any(subnet.overlaps(network) for network in used):
            return subnet
    raise LabError(f"every network in {SUBNETS}.0.0/16 is in use here: take down a lab (make lab-down)")


def make_switch(lab: str, subnet: IPv4Network, mtu: int) -> None:
    """Make the switch and plug this machine in."""
    space, link = switch_namespace(lab), controller_link(lab)
    ip("netns", "add", space)
    bridge = ["type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"]
    ip("-n", space, "link", "add", _SWITCH, "mtu", str(mtu), *bridge)
    ip("-n", space, "link", "set", _SWITCH, "up")
    ip("link", "add", link, "mtu", str(mtu), "type", "veth", "peer", "name", _UPLINK, "netns", space)
    ip("-n", space, "link", "set", _UPLINK, "mtu", str(mtu), "master", _SWITCH, "up")
    ip("link", "set", link, "alias", f"azlocal lab {lab}", "up")
    ip("address", "add", f"{subnet[CONTROLLER]}/{subnet.prefixlen}", "dev", link)


def remove_switch(lab: str) -> None:
    """Take the switch away with all its cables; nothing to do where there is none."""
    if controller_link(lab) in links():
        ip("link", "delete", controller_link(lab))
    if switch_namespace(lab) in namespaces():
        ip("netns", "delete", switch_namespace(lab))


def plug_in(lab: str, host: str, process: int, mtu: int) -> None:
    """Put a cable between the switch and the network namespace of a process."""
    space = switch_namespace(lab)
    peer = ["peer", "name", NIC, "address", _mac_address(lab, host), "netns", str(process)]
    ip("-n", space, "link", "add", host, "mtu", str(mtu), "type", "veth", *peer)
    ip("-n", space, "link", "set", host, "master", _SWITCH, "up")


def unplug(lab: str, host: str) -> None:
    """Take the cable away, from both ends; nothing to do where there is none."""
    if host in links(switch_namespace(lab)):
        ip("-n", switch_namespace(lab), "link", "delete", host)


def set_port(lab: str, host: str, state: str) -> None:
    """Switch a host's port `up` or `down`: the host sees its cable's carrier come or go."""
    ip("-n", switch_namespace(lab), "link", "set", host, state)


def links(space: str | None = None) -> set[str]:
    """Return the interfaces here, or in a network namespace (none, where that isn't there)."""
    if space is not None and space not in namespaces():
        return set()
    where = ["-n", space] if space else []
    return {link["ifname"] for link in _listed(*where, "link")}


def namespaces() -> set[str]:
    """Return the named network namespaces."""
    return {namespace["name"] for namespace in _listed("netns", "list")}


def ip(*arguments: str) -> str:
    """Run iproute2's ip.

    Raises:
        LabError: it fails.
    """
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _mac_address(lab: str, host: str) -> str:
    """Return the address burnt into a host's NIC: others remember it while the host is off."""
    digest = hashlib.sha256(f"{lab}/{host}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def _listed(*arguments: str) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = json.loads(ip("-json", *arguments) or "[]")
    return [entry for entry in objects if entry]


def _used_networks() -> list[IPv4Network]:
    routes = [route["dst"] for route in _listed("-4", "route", "show", "table", "all") if "dst" in route]
    return [IPv4Network(route, strict=False) for route in routes if route != "default"]
