"""Who uses an address already: what answers on a network, and what a host's machines will use once they run."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

import libvirt
import netaddr
from lxml import etree

from infra.kvm.connection import HostSession
from infra.kvm.domain_xml import from_xml
from infra.kvm.errors import HostError, is_missing
from infra.ssh import Shell

_SCRIPT = files("infra.kvm") / "files" / "arp_probe.py"
_NO_PYTHON = 127  # the shell's exit code for a program that isn't there


@dataclass(frozen=True)
class Holder:
    """Somebody who has an address that was planned for us."""

    address: str
    who: str


def find_holders(
    session: HostSession, bridge: str, addresses: Collection[str], own_macs: Collection[str]
) -> list[Holder]:
    """Return who has some addresses, in the addresses' order; the machines that are to have them don't count.

    Args:
        session: A host on the network.
        bridge: The network's bridge there.
        addresses: IPv4 addresses.
        own_macs: Hardware addresses of our own machines on this network.

    Raises:
        HostError: The host can't ask.
    """
    answering = {}
    for address, macs in answers(session.shell, bridge, addresses).items():
        strangers = [f"{mac}{_vendor(mac)}" for mac in macs if mac not in own_macs]
        if strangers:
            answering[address] = f"answered for by {' and '.join(strangers)}"
    defined = dict(_defined(session, own_macs))
    return [
        Holder(address, holders[address])
        for address in addresses
        for holders in (answering, defined)
        if address in holders
    ]


def answers(shell: Shell, bridge: str, addresses: Collection[str]) -> Mapping[str, list[str]]:
    """Return the hardware addresses that answer for each address, as far as any does.

    Raises:
        HostError: The host has no Python, or the bridge isn't there.
    """
    command = ["python3", "-", bridge, *addresses]
    done = shell.run(command, input=_SCRIPT.read_bytes(), check=False)
    if done.exit_code == _NO_PYTHON:
        raise HostError(f"{shell.host}: addresses can't be probed: python3 isn't installed there")
    if done.exit_code != 0:
        reason = done.stderr.strip().rpartition("\n")[2]  # the last line of Python's traceback
        raise HostError(f"{shell.host}: addresses can't be probed on {bridge}: {reason}")
    macs_by_address: Mapping[str, list[str]] = json.loads(done.stdout)
    return macs_by_address


def _defined(session: HostSession, own_macs: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield addresses that definitions on the host mention: of machines, which may be off, and of DHCP."""
    for driver in (session.qemu, session.lxc):
        for domain in driver.listAllDomains():
            try:
                xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            except libvirt.libvirtError as error:
                if is_missing(error):
                    continue  # somebody else's, and gone by now
                raise
            for address in _addresses_of(xml, own_macs):
                yield address, f"machine {domain.name()} is defined with it"
    for network in session.qemu.listAllNetworks():
        for lease in etree.fromstring(network.XMLDesc().encode()).iterfind("ip/dhcp/host"):
            yield str(lease.get("ip")), f"network {network.name()} gives it out by DHCP to {lease.get('mac')}"


def _addresses_of(xml: str, own_macs: Collection[str]) -> Iterator[str]:
    root = etree.fromstring(xml.encode())
    if any(mac.get("address") in own_macs for mac in root.iterfind("devices/interface/mac")):
        return
    for ip in root.iterfind("devices/interface/ip"):
        yield str(ip.get("address"))
    first_boot = from_xml(xml).record.get("firstBoot")  # of another instance of azlocal
    if first_boot:
        yield str(first_boot["address"]).partition("/")[0]


def _vendor(mac: str) -> str:
    try:
        return f" ({netaddr.EUI(mac).oui.registration().org})"
    except netaddr.NotRegisteredError:
        return ""
