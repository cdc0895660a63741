"""Proxies: machines reach them, and reach each other without them (azure_local_facts.md §2.5, §4.2)."""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

from infra.plan.addresses.numbers import address_text, merged, without
from infra.plan.addresses.occupants import proxy_addresses
from infra.plan.rules.base import Facts, Fault, rule
from infra.plan.rules.ranges import reserved_block
from infra.spec.connections import is_this_machine, literal_address, reads_as_number, url_host_fault
from infra.spec.findings import KeyPath, shown
from infra.spec.netplan import proxy_host
from infra.spec.types import AddressRange

_SUFFIX = "the end of the names, from its dot on: .example.com"
_WRITE = "write the address of the machine that the proxy runs on, as the clusters' machines reach it"


@rule("proxy-on-machine-itself", source="RFC 6761 §6.3, RFC 1122 §3.2.1.3")
def proxy_on_machine_itself(facts: Facts) -> Iterator[Fault]:
    """A proxy's host isn't a name or address by which each machine means itself."""
    for path, host, _ in _proxies(facts):
        if is_this_machine(host):
            message = f"proxy {shown(host)}: each machine would look for the proxy on itself"
            yield Fault("netplan", path, message, _WRITE)


@rule("proxy-out-of-reach", source="azlocal")
def proxy_out_of_reach(facts: Facts) -> Iterator[Fault]:
    """A proxy has a name, or an IPv4 address as programs without inet_aton(3) read it."""
    for path, host, _ in _proxies(facts):
        address = literal_address(host)
        if is_this_machine(host):
            continue
        if isinstance(address, IPv6Address):
            message = f"proxy {shown(host)} has an IPv6 address, and machines have IPv4 addresses only"
            yield Fault("netplan", path, message, _WRITE)
        elif address is None and (why := url_host_fault(host)):
            yield Fault("netplan", path, f"proxy {shown(host)}: {why}", _WRITE)


@rule("proxy-without-port", source="azlocal", severity="warning")
def proxy_without_port(facts: Facts) -> Iterator[Fault]:
    """A proxy's URL says the port: curl takes 1080 where it is missing, Go and containerd 80 or 443."""
    for path, host, port in _proxies(facts):
        if port is None:
            message = f"proxy {shown(host)} has no port, for which programs take different ones"
            yield Fault("netplan", path, message, "add it behind the host, e.g. :3128, :8080 or :80")


@rule("proxy-in-reserved-range", source="NETCON")
def proxy_in_reserved_range(facts: Facts) -> Iterator[Fault]:
    """No proxy lies in the blocks that AKS and the resource bridge use inside."""
    for path, address in proxy_addresses(facts.spec.netplan):
        if block := reserved_block(address):
            message = f"proxy {address_text(address)} lies in {block}; machines can't reach it there"
            yield Fault("netplan", path, message, "use a proxy outside the block")


@rule("no-proxy-incomplete", source="RBURL, RBNET", severity="warning")
def no_proxy_incomplete(facts: Facts) -> Iterator[Fault]:
    """What machines say to each other doesn't go through the proxy, by whatever entries of noProxy."""
    proxy = facts.spec.netplan.proxy
    if proxy is None or not (proxy.http_proxy or proxy.https_proxy) or "*" in proxy.no_proxy:
        return
    direct = merged(span for text in proxy.no_proxy if (span := _prefix_span(text)))
    missing = [str(network.prefix) for network in facts.networks if without(network.usable, direct)]
    if missing:
        message = f"noProxy does not cover {', '.join(missing)}, so machines there meet through the proxy"
        remedy = "add them, or 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 beside localhost, 127.0.0.1 and .svc"
        yield Fault("netplan", ("proxy",), message, remedy)


@rule("no-proxy-without-effect", source="golang.org/x/net/http/httpproxy", severity="warning")
def no_proxy_without_effect(facts: Facts) -> Iterator[Fault]:
    """An entry of noProxy is a name, an address or a prefix, as the programs that read it know them.

    No entry is an occupant, the address of a single machine neither: it says how an address is reached, and not
    whose it is. People list the plan's own machines there, and all of a small subnet.
    """
    proxy = facts.spec.netplan.proxy
    if proxy is not None and proxy.no_proxy and not (proxy.http_proxy or proxy.https_proxy):
        message = "noProxy stands alone: there is no proxy that it would make exceptions from"
        yield Fault("netplan", ("proxy", "noProxy"), message, "add httpProxy and httpsProxy, or remove proxy")
        return
    for index, text in enumerate(proxy.no_proxy if proxy else ()):
        meant = _unread_entry(text)
        if meant is not None:
            message = f"programs read no name, address or prefix in {shown(text)}, and go through the proxy"
            yield Fault("netplan", ("proxy", "noProxy", index), message, f"write {meant}")


def _unread_entry(text: str) -> str | None:
    """Return what to write instead of an entry that nothing reads; None where it is read."""
    if "://" in text:
        with suppress(ValueError):
            return urlsplit(text).hostname or _SUFFIX
        return _SUFFIX
    if "/" in text:
        return None if _prefix_span(text) or _is_prefix_of_six(text) else _near_prefix(text)
    if text == "*" or literal_address(text.strip("[]")) is not None:
        return None
    host = text.rpartition(":")[0] or text
    numbers = host.removesuffix(".*").split(".")
    if host.endswith(".*") and len(numbers) < 4 and all(number.isdecimal() for number in numbers):
        return _near_prefix(f"{'.'.join((numbers + ['0'] * 3)[:4])}/{8 * len(numbers)}")
    if reads_as_number(host.replace("*", "0")):
        return "each address alone, or a prefix: 192.0.2.0/24"
    name = host.removeprefix("*.")
    return _SUFFIX if "*" in name else None


def _is_prefix_of_six(text: str) -> bool:
    try:
        return bool(IPv6Network(text, strict=False))
    except ValueError:
        return False


def _near_prefix(text: str) -> str:
    """Return the prefix that is meant with a mask for its length; an example where none is."""
    try:
        return IPv4Network(text, strict=False).with_prefixlen
    except ValueError:
        return "it as 192.0.2.0/24"


def _proxies(facts: Facts) -> Iterator[tuple[KeyPath, str, int | None]]:
    """Yield where a proxy stands, its host and its port."""
    proxy = facts.spec.netplan.proxy
    for key, url in (("httpProxy", proxy.http_proxy), ("httpsProxy", proxy.https_proxy)) if proxy else ():
        host = proxy_host(url or "")
        if url and host:
            yield ("proxy", key), host, urlsplit(url).port


def _prefix_span(text: str) -> AddressRange | None:
    """Return what an entry of noProxy covers as Go's programs read it: an address, or a prefix with its length."""
    _, slash, length = text.partition("/")
    if slash and not length.isdecimal():
        return None
    try:
        network = IPv4Network(text, strict=False)
    except (AddressValueError, ValueError):
        return None
    return AddressRange(int(network.network_address), int(network.broadcast_address))
