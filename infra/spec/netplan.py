"""netplans/<site>.yaml: networks, pools, reservations. The network team's file.

Sources (azure_local_facts.md §0): LNET, NET and API-LNET for logical networks, NETCON for the infrastructure.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from infra.spec.findings import shown
from infra.spec.forms import DIRECT, NETWORK_NAME, OWNER, Example, Refused
from infra.spec.types import Address, Integer, Model, Name, Prefix, Sensitive, fault, published

_DHCP = "What a DHCP server of this subnet hands out, its exclusions taken off; nothing is planned there."
_VRRP = "VRRP ids that routers or others on this VLAN use already."


def proxy_host(url: str) -> str | None:
    """Return the host that a proxy's URL names, or None when it is no such URL."""
    try:
        parts = urlsplit(url)
        is_proxy = parts.scheme in {"http", "https"} and url.isprintable() and " " not in url
        # A password with a /, ? or # in it ends the login early: what is then taken for the host is the user.
        is_proxy = is_proxy and "@" not in parts.path + parts.query + parts.fragment
        return parts.hostname if is_proxy and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None


def _proxy_fault(url: str) -> str:
    """Say what is wrong with a proxy's URL, without a word of it."""
    if "://" not in url:
        return "http:// is missing before the host"
    if not url.lower().startswith(("http://", "https://")):
        return "only proxies of HTTP are used, by http:// or https://"
    if not url.isprintable() or " " in url:
        return "it has a space, or a character that can't be seen"
    try:
        parts = urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment:
            return "the login has a character that must be encoded"
        if not parts.hostname:
            return "it names no host"
        return "0 is no port" if parts.port == 0 else "it can't be read"
    except ValueError:
        return "its port is no number of 1-65535" if ":" in url.partition("://")[2] else "it can't be read"


def _check_proxy(url: str) -> str:
    if not proxy_host(url):
        raise fault(
            "bad-proxy",
            f"this is not a proxy's URL: {_proxy_fault(url)} (it isn't repeated, since it may have a password)",
            "write it as http://proxy.example:8080 or http://user:password@proxy.example:8080; in a password, "
            "%2F stands for /, %40 for @",
        )
    return url


ProxyUrl = Annotated[
    str, AfterValidator(_check_proxy), published(pattern="^https?://"), Example("http://proxy.example:8080")
]


class AddressPool(Model):
    """A run of addresses, both ends included."""

    start: Address = Field(description="First address of the pool.")
    end: Address = Field(description="Last address of the pool; it belongs to it.")


class IpPool(AddressPool):
    """A pool of a logical network (API-LNET `ipPools[]`)."""

    name: Name | None = Field(None, description="Azure's optional name of the pool.")
    ip_pool_type: Literal["vm", "vippool"] = Field(
        "vm",
        description="vm: addresses of nodes and VMs. vippool: legacy; nothing is taken from it, except where a "
        "network has no other pool.",
    )


class Infrastructure(Model):
    """The management network: hosts, resource bridge and the instance's own addresses (NETCON).

    The pool holds at least six consecutive addresses of the nodes' subnet and none of the nodes' own.
    """

    address_prefix: Prefix = Field(description="The subnet, e.g. 192.168.1.0/24.")
    gateway: Address = Field(description="Default gateway, inside the prefix.")
    dns_servers: tuple[Address, ...] = Field((), description="DNS servers of nodes and resource bridge.")
    pool: AddressPool = Field(description="At least six consecutive addresses, free of host addresses.")
    vlan: Annotated[Integer, published(0, 4094)] = Field(0, description="VLAN id; 0 is untagged.")
    dhcp_ranges: tuple[AddressPool, ...] = Field((), description=_DHCP)
    taken_vrrp_ids: tuple[Annotated[Integer, published(1, 255)], ...] = Field((), description=_VRRP)


class LogicalNetwork(Model):
    """A logical network (API-LNET, LNET): static, one prefix, a gateway inside it, pools inside it."""

    name: Annotated[Name, NETWORK_NAME] = Field(description="2-64 characters; it can't be renamed later.")
    vm_switch_name: Name | None = Field(None, description="Azure's virtual switch; not needed here.")
    vlan: Annotated[Integer, published(0, 4094)] = Field(0, description="VLAN id; 0 is untagged.")
    ip_allocation_method: Annotated[Literal["Static", "Dynamic"], Refused(("Dynamic",))] = Field(
        "Static", description="AKS takes Static only."
    )
    address_prefix: Prefix = Field(description="The subnet, e.g. 10.220.32.0/24.")
    gateway: Address = Field(description="Default gateway, inside the prefix.")
    dns_servers: tuple[Address, ...] = Field((), description="DNS servers of the machines in it.")
    ip_pools: tuple[IpPool, ...] = Field((), description="Where the machines' addresses are taken from.")
    dhcp_ranges: tuple[AddressPool, ...] = Field((), description=_DHCP)
    taken_vrrp_ids: tuple[Annotated[Integer, published(1, 255)], ...] = Field((), description=_VRRP)


def _check_owner(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise fault(
            "bad-name", f"{shown(text)} can't be an owner", f"say in words who has the address: {OWNER.example}"
        )
    return text


class Reservation(Model):
    """An address that is somebody's already, or that one of our machines must get.

    An owner that is a name of the plan (`a-cp-0`, `rb-0`) pins that machine to the address; where several
    instances share the site, `lab/a-cp-0` names the one of instance `lab`.
    """

    address: Address = Field(description="The address.")
    owner: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_check_owner), OWNER] = Field(
        description="Who has it: free text, or a machine of the plan to pin it to."
    )


class Proxy(Model):
    """The proxy that machines use for what lies outside (AKS `httpProxyConfig`)."""

    http_proxy: ProxyUrl | None = Field(None, description="http://proxy.example:8080", repr=False)
    https_proxy: ProxyUrl | None = Field(None, description="http://proxy.example:8080", repr=False)
    no_proxy: tuple[Annotated[str, DIRECT], ...] = Field(
        (), description="Names and prefixes that are reached without it."
    )


class PrivateEndpoint(Model):
    """A private endpoint that the clusters must reach."""

    name: Name = Field(description="What it leads to.")
    private_ip_address: Address = Field(alias="privateIPAddress", description="Its address.")


class Netplan(Model):
    """All of netplans/<site>.yaml."""

    infrastructure: Infrastructure
    logical_networks: tuple[LogicalNetwork, ...] = Field((), description="Networks of the AKS clusters.")
    reservations: tuple[Reservation, ...] = Field((), description="Addresses that are taken already.")
    proxy: Annotated[Proxy | None, Sensitive()] = Field(
        None, description="The proxy towards what lies outside, if there is one."
    )
    private_endpoints: tuple[PrivateEndpoint, ...] = Field(
        (), description="Private endpoints that the clusters must reach."
    )
    transport: Literal["vlan", "vxlan"] = Field(
        "vlan",
        description="How networks reach several hosts: VLANs on their uplinks, or a VXLAN mesh between them.",
    )
    underlay_mtu: Annotated[Integer, Field(ge=1280, le=9216)] = Field(
        1500, description="Largest packet between hosts, in bytes; a VXLAN network has 50 less."
    )
    gateway_host: Name | None = Field(
        None, description="The host that holds the gateways of a VXLAN mesh; the first of the hosts when absent."
    )
