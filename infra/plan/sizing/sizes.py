"""What each network needs, counted from the clusters alone (azure_local_facts.md §2.1, §2.6), and the proposal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.model.local_libvirt import QEMU
from infra.plan.addresses.claims import Need, cluster_need, infrastructure_need
from infra.plan.addresses.layout import build_networks
from infra.plan.addresses.lock import Lock
from infra.plan.addresses.numbers import merged
from infra.plan.addresses.occupants import build_occupants, host_addresses
from infra.plan.addresses.plan import INFRASTRUCTURE
from infra.plan.instance import check_addresses
from infra.plan.rules.machines import LIMITS
from infra.plan.rules.ranges import RESERVED, span_of
from infra.plan.sizing.propose import Site, Wish, propose
from infra.spec.findings import Finding, without_login
from infra.spec.hosts import HostsFile, HostSpec
from infra.spec.loader import InstanceSpec, Sources
from infra.spec.netplan import AddressPool, Infrastructure, LogicalNetwork, Netplan
from infra.spec.stack import ClusterSpec, StackConfig
from infra.spec.tree import Document
from infra.spec.types import AddressRange

_PROPOSAL = "the proposed netplan"
_SWITCHLESS_HOSTS = (2, 3, 4)
_EDGES = 2  # the first and the last address of a subnet


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """What one network needs.

    Attributes:
        name: `infrastructure`, or the logical network's name.
        hosts: Management addresses, in the infrastructure network.
        nodes: Control-plane nodes and workers, at their most.
        spares: Addresses of the nodes that join in upgrades.
        chosen_vips: API servers whose address is ours to choose, from the pool.
        need: What the official formula asks.
        smallest_prefix: Length of the smallest prefix that has as many addresses.
        proposed: The network as it stands in the proposed netplan; None where none could be found.
    """

    name: str
    hosts: int
    nodes: int
    spares: int
    chosen_vips: int
    need: Need
    smallest_prefix: int
    proposed: dict[str, Any] | None

    @property
    def addresses(self) -> int:
        """Return all addresses of the subnet that are spoken for: gateway and both edges included."""
        return _subnet_need(self.need, self.hosts)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        need = self.need
        return {
            "name": self.name,
            "hosts": self.hosts,
            "nodes": self.nodes,
            "upgradeSpares": self.spares,
            "controlPlaneVips": {"chosen": self.chosen_vips, "given": need.outside},
            "pool": {"required": need.pool},
            "loadBalancer": {"required": need.load_balancer},
            "total": need.pool + need.outside + need.load_balancer,
            "addresses": self.addresses,
            "smallestPrefix": f"/{self.smallest_prefix}",
            "proposed": self.proposed,
        }


@dataclass(frozen=True, slots=True)
class Sizing:
    """What an instance needs and a netplan for it.

    Attributes:
        instance: The stack.
        hosts: How many hosts are counted.
        are_hosts_known: Whether they are those of the hosts file; else the most that an instance has.
        networks: The infrastructure network, then the logical ones by name.
        netplan: The proposal, as the file's content; None where no layout was found.
        storage_subnets: Subnets of switchless storage, one and two links a pair of hosts, where that is possible.
        findings: What is wrong with the stack file, and with the proposal.
    """

    instance: str
    hosts: int
    are_hosts_known: bool
    networks: tuple[NetworkSize, ...]
    netplan: dict[str, Any] | None
    storage_subnets: tuple[int, int] | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Tell whether no rule of severity error is broken."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        links = self.storage_subnets
        return {
            "instance": self.instance,
            "ok": self.ok,
            "hosts": {"count": self.hosts, "known": self.are_hosts_known},
            "networks": [network.to_json() for network in self.networks],
            "switchlessStorageSubnets": {"singleLink": links[0], "dualLink": links[1]} if links else None,
            "netplan": self.netplan,
            "findings": [finding.to_json() for finding in self.findings],
        }


def size_instance(
    stack: str,
    config: StackConfig,
    document: Document,
    hosts: HostsFile | None,
    netplan: Netplan | None = None,
    lock: Lock | None = None,
) -> Sizing:
    """Size an instance from its clusters; pure.

    Args:
        stack: The stack's name.
        config: The stack file.
        document: Where its values stand.
        hosts: The hosts file, where there is one.
        netplan: The site's netplan, where there is one: networks of these names are kept where they have room, and
            the others are kept out of.
        lock: What the site's instances were given.
    """
    count = len(hosts.hosts) if hosts else LIMITS[config.deployment_class].most
    clusters = sorted(config.clusters, key=lambda cluster: cluster.name)
    names = sorted({cluster.logical_network for cluster in clusters})
    groups = {name: [cluster for cluster in clusters if cluster.logical_network == name] for name in names}
    shell = _spec(stack, config, document, hosts, netplan or _EMPTY)
    need = infrastructure_need(shell)
    management = [host.management_address for host in hosts.hosts if host.management_address] if hosts else []
    standing = {network.name: network for network in netplan.logical_networks} if netplan else {}
    wishes = [
        Wish(
            name=INFRASTRUCTURE,
            length=min(29, _prefix_length(_subnet_need(need, count))),
            pool=need.pool,
            outside=need.outside + count - len(management),
            fixed=[AddressRange(int(address), int(address)) for address in management],
            dns_servers=next((tuple(host.dns_servers) for host in _named(hosts) if host.dns_servers), ()),
            like=netplan.infrastructure if netplan else None,
        ),
        *(_wish(name, members, standing.get(name)) for name, members in groups.items()),
    ]
    others = [network for network in standing.values() if network.name not in groups]
    cidrs = [cidr for cluster in clusters for cidr in _cidrs(cluster)]
    taken = _taken(shell, lock, is_new=netplan is None)
    site = Site(
        blocks=[*cidrs, *(span_of(network.address_prefix) for network in others)],
        taken=merged(taken),
        single=frozenset(span.first for span in taken if len(span) == 1),
        hosts=_addresses_of(hosts),
        vlans=frozenset(network.vlan for network in others),
    )
    proposed = propose(wishes, site)
    sizes = [NetworkSize(INFRASTRUCTURE, count, 0, 0, 0, need, wishes[0].length, proposed.get(INFRASTRUCTURE))]
    sizes += [
        _size(name, members, wish.length, proposed.get(name))
        for (name, members), wish in zip(groups.items(), wishes[1:], strict=True)
    ]
    content = _netplan(proposed, names, netplan)
    return Sizing(
        instance=stack,
        hosts=count,
        are_hosts_known=hosts is not None,
        networks=tuple(sizes),
        netplan=_without_logins(content),
        storage_subnets=(count * (count - 1) // 2, count * (count - 1)) if count in _SWITCHLESS_HOSTS else None,
        findings=tuple(
            _findings(
                shell,
                sizes,
                content,
                lock,
                has_hosts=hosts is not None,
                is_dns_ours=netplan is None and not wishes[0].dns_servers,
            )
        ),
    )


def _named(hosts: HostsFile | None) -> Sequence[HostSpec]:
    return hosts.hosts if hosts else ()


def _addresses_of(hosts: HostsFile | None) -> list[AddressRange]:
    """Return every address by which hosts are known."""
    addresses = {address for host in _named(hosts) for _, address, _ in host_addresses(host)}
    return [AddressRange(address, address) for address in sorted(addresses)]


def _taken(shell: InstanceSpec, lock: Lock | None, *, is_new: bool) -> list[AddressRange]:
    """Return the addresses that somebody has already, by any of the site's files or by its lock; unsorted."""
    networks = build_networks(shell.netplan)
    spans = [
        occupant.span
        for occupant in build_occupants(shell, networks, [])
        if not (is_new and occupant.file == "netplan")
    ]
    hosts = shell.hosts.hosts
    named = [server for host in hosts for server in host.dns_servers or ()]
    named += [host.underlay_address for host in hosts if host.underlay_address is not None]
    if shell.stack.arc is not None and shell.stack.arc.emulator_address is not None:
        named.append(shell.stack.arc.emulator_address)
    spans += [AddressRange(int(address), int(address)) for address in named]
    start = f"{shell.name}/"
    held = lock.given.items() if lock else ()
    spans += [AddressRange(address, address) for address, holder in held if not holder.owner.startswith(start)]
    return spans


_EMPTY = Netplan(
    infrastructure=Infrastructure.model_validate(
        {
            "addressPrefix": "192.0.2.0/24",
            "gateway": "192.0.2.1",
            "pool": AddressPool.model_validate({"start": "192.0.2.2", "end": "192.0.2.7"}),
        }
    )
)


def _spec(
    stack: str, config: StackConfig, document: Document, hosts: HostsFile | None, netplan: Netplan
) -> InstanceSpec:
    stand_in = HostsFile(hosts=(HostSpec.model_validate({"name": "host", "connection": QEMU}),))
    sources = Sources(document, Document(f"hosts/{config.site}.yaml", None), Document(_PROPOSAL, None))
    return InstanceSpec(stack, config, hosts or stand_in, netplan, sources, Path())


def _findings(
    shell: InstanceSpec,
    sizes: Sequence[NetworkSize],
    content: dict[str, Any] | None,
    lock: Lock | None,
    *,
    has_hosts: bool,
    is_dns_ours: bool,
) -> list[Finding]:
    """Return what the planner says of the proposal: it is a plan like any other."""
    if content is None:
        if sizes[0].proposed is None and has_hosts:
            message = "no prefix holds all hosts' management addresses, with a pool beside them"
            blocks = ", ".join(RESERVED)
            remedy = f"as managementAddress, give addresses of one subnet outside {blocks} and the clusters' CIDRs"
            return [Finding("no-layout", "error", shell.sources.where("hosts", ("hosts",)), message, remedy)]
        names = ", ".join(size.name for size in sizes if size.proposed is None)
        message = f"no prefix holds all addresses that are given by hand in network {names}"
        remedy = "give addresses of one subnet, or leave hostIP and loadBalancer.addresses out"
        return [Finding("no-layout", "error", shell.sources.where("stack", ("clusters",)), message, remedy)]
    spec = InstanceSpec(
        shell.name, shell.stack, shell.hosts, Netplan.model_validate(content), shell.sources, shell.directory
    )
    # What is said of hosts that nobody has named yet, is said of stand-ins.
    known = [
        finding
        for finding in check_addresses(spec, _of_others(lock, shell.name))
        if has_hosts
        or not (finding.rule == "unknown-vm-size" or finding.path.startswith(shell.sources.hosts.name))
    ]
    if any(size.name == INFRASTRUCTURE for size in sizes[1:]):  # what else is said comes of that
        known = [finding for finding in known if finding.rule == "duplicate-name"]
    # Hosts get their addresses from what is asked for here, and are counted.
    known = [finding for finding in known if finding.rule != "host-without-address"]
    if is_dns_ours:
        known = [finding for finding in known if finding.rule != "host-dns-differs"]
    return [_at_its_place(finding, spec.sources, has_hosts=has_hosts) for finding in known]


def _of_others(lock: Lock | None, instance: str) -> Lock | None:
    """Return what other instances of the site have; what this one has is sized again."""
    if lock is None:
        return None
    start = f"{instance}/"
    return replace(
        lock,
        given={address: holder for address, holder in lock.given.items() if not holder.owner.startswith(start)},
        vrrp={owner: vrrp_id for owner, vrrp_id in lock.vrrp.items() if not owner.startswith(start)},
    )


def _at_its_place(finding: Finding, sources: Sources, *, has_hosts: bool) -> Finding:
    """Move a fault of the proposal, which is no file, to what it was made for: the clusters, or hosts' DNS."""
    if not finding.path.startswith(_PROPOSAL):
        return finding
    if has_hosts and "infrastructure.dnsServers" in finding.path:
        return replace(finding, path=sources.where("hosts", ("hosts", 0, "dnsServers")))
    message = f"the proposed netplan doesn't keep the rules: {finding.message}"
    return replace(finding, path=sources.where("stack", ("clusters",)), message=message)


def _size(name: str, clusters: Sequence[ClusterSpec], length: int, proposed: dict[str, Any] | None) -> NetworkSize:
    need = _sum(clusters)
    chosen = len(clusters) - need.outside
    nodes = need.pool - chosen - len(clusters)
    return NetworkSize(name, 0, nodes, len(clusters), chosen, need, length, proposed)


def _wish(name: str, clusters: Sequence[ClusterSpec], like: LogicalNetwork | None) -> Wish:
    need = _sum(clusters)
    endpoints = [
        cluster.control_plane.host_ip for cluster in clusters if cluster.control_plane.host_ip is not None
    ]
    fixed = [AddressRange(int(address), int(address)) for address in endpoints]
    fixed += [span for cluster in clusters for span in cluster.load_balancer.ranges]
    chosen = sum(
        max(0, cluster.load_balancer.count or 0) for cluster in clusters if not cluster.load_balancer.addresses
    )
    return Wish(name, _prefix_length(_subnet_need(need, 0)), need.pool, chosen, fixed, like=like)


def _sum(clusters: Sequence[ClusterSpec]) -> Need:
    needs = [cluster_need(cluster) for cluster in clusters]
    return Need(*(sum(getattr(need, part) for need in needs) for part in ("pool", "outside", "load_balancer")))


def _subnet_need(need: Need, hosts: int) -> int:
    """Count what the subnet must hold: the formula's addresses, the hosts, the gateway, both edges (§2.1)."""
    return need.pool + need.outside + need.load_balancer + hosts + 1 + _EDGES


def _prefix_length(addresses: int) -> int:
    return max(1, 32 - (addresses - 1).bit_length())


def _cidrs(cluster: ClusterSpec) -> list[AddressRange]:
    profile = cluster.network_profile
    return [
        AddressRange(int(block.network.network_address), int(block.network.broadcast_address))
        for block in (profile.pod_cidr, profile.service_cidr)
    ]


def _netplan(
    proposed: dict[str, dict[str, Any]], names: Sequence[str], standing: Netplan | None
) -> dict[str, Any] | None:
    """Return the netplan: the proposed networks, and what else the site's netplan has."""
    if any(name not in proposed for name in (INFRASTRUCTURE, *names)):
        return None
    infrastructure = {key: value for key, value in proposed[INFRASTRUCTURE].items() if key not in {"name", "vlan"}}
    pool = infrastructure.pop("ipPools")[0]
    infrastructure["pool"] = {"start": pool["start"], "end": pool["end"]}
    networks = [proposed[name] for name in names]
    if standing is None:
        return {"infrastructure": infrastructure, "logicalNetworks": networks}
    content: dict[str, Any] = standing.model_dump(mode="json", by_alias=True, exclude_unset=True)
    content["infrastructure"] = content["infrastructure"] | infrastructure
    known = {network["name"]: network for network in content.get("logicalNetworks", ())}
    networks = [
        known.get(network["name"], {}) | {"ipAllocationMethod": "Static"} | network for network in networks
    ]
    content["logicalNetworks"] = networks + [network for name, network in known.items() if name not in names]
    if proxy := content.get("proxy"):
        prefixes = [
            network["addressPrefix"] for network in (content["infrastructure"], *content["logicalNetworks"])
        ]
        proxy["noProxy"] = list(dict.fromkeys([*proxy.get("noProxy", ()), *prefixes]))
    return content


def _without_logins(content: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a netplan to be shown: without a proxy whose address has a login in it."""
    proxy = content.get("proxy") if content else None
    urls = [url for url in (proxy or {}).values() if isinstance(url, str)]
    if content is None or all(without_login(url) == url for url in urls):
        return content
    return {key: value for key, value in content.items() if key != "proxy"}
