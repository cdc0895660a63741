"""The instance itself: its hosts and its infrastructure network, by our keys; what isn't known is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from typing import Final

from infra.azure_import.collect import Azure
from infra.azure_import.parameters import names
from infra.azure_import.report import Report
from infra.azure_import.resources import Resource
from infra.azure_import.things import Thing
from infra.azure_import.written import Written
from infra.export.odin import CLOUDS, LOCAL_REGIONS, SCALES
from infra.model.azure_regions import short_location
from infra.model.local_libvirt import QEMU

_DATA: Final = ("deploymentConfiguration", "scaleUnits", 0, "deploymentData")
_READ: Final = frozenset(
    {
        *("subnetmask", "defaultgateway", "startingipaddress", "endingipaddress", "dnsservers", "clustername"),
        *("physicalnodessettings", "location", "usedhcp", "deploymentmode", "networkingtype", "customlocation"),
        *("arcnoderesourceids", "infrastructurenetwork", "physicalnodes", "optionalservices"),
        *("nodesettings", "nodes", "infra", "infracidr", "infracidrauto", "infragateway", "infragatewaymanual"),
        *("infrapoolmanual", "infravlan", "infravlanid", "localinstanceregion", "region", "architecture", "scale"),
        *("proxy", "arc", "privateendpoints", "scenario", "ip", "outbound"),
    }
)
"""What is read of a deployment in any of its three forms, or says nothing more than that; in lower case."""

_ODIN: Final = {
    ("proxy", "proxy"): "ODIN's design has a proxy: write it at netplan's proxy, for the machines",
    ("arc", "arc_gateway"): "ODIN's design has an Arc gateway: write its id at azlocal:arc's gateway",
    (
        "privateEndpoints",
        "pe_enabled",
    ): "ODIN's design has private endpoints: write them at netplan's privateEndpoints",
    ("scenario", "disconnected"): "ODIN's design is disconnected: write azlocal:arc's cloud: custom",
    ("ip", "dhcp"): "ODIN's design has hosts with DHCP: their addresses have to stay the same",
}
_PLACEHOLDER: Final = {
    "addressPrefix": "192.0.2.0/24",
    "gateway": "192.0.2.1",
    "dnsServers": ["192.0.2.1"],
    "pool": {"start": "192.0.2.20", "end": "192.0.2.30"},
}
"""A network that is nobody's (RFC 5737), of the size that an instance needs."""


@dataclass
class Instance:
    """What is known of the instance.

    Attributes:
        hosts: Its hosts.
        infrastructure: Its management network.
        name: What it is called.
        location: Its region.
        deployment_class: Whose limits hold.
    """

    hosts: list[Written] = field(default_factory=list)
    infrastructure: Written | None = None
    name: str | None = None
    location: Thing | None = None
    deployment_class: str | None = None

    @property
    def content(self) -> tuple[object, object]:
        """Return what two descriptions of one instance have to agree on."""
        return [host.value for host in self.hosts], self.infrastructure.value if self.infrastructure else None


def instance(azure: Azure, report: Report) -> Instance:
    """Return what the descriptions of the instance say, the first where several agree."""
    described = [(resource, _read(resource.properties)) for resource in azure.deployments]
    if not described:
        return Instance()
    (first, made), *others = described
    for resource, other in others:
        if other.content != made.content:
            message = f"another instance is described at {first.thing.where}"
            report.say("import-twice", resource.thing, message, "leave one of the two files out")
        made.deployment_class = made.deployment_class or other.deployment_class
        made.name = made.name or other.name
        made.location = made.location or other.location
    for resource, _ in described:
        _say_lost(resource.properties, report)
    return made


def _read(own: Thing) -> Instance:
    if own.get(*_DATA) is not None:
        return _of_settings(own.get(*_DATA) or own)
    return _of_odin(own) if own.get("nodeSettings") is not None or own.get("infra") is not None else _of_arm(own)


def _of_arm(own: Thing) -> Instance:
    """Read parameters of the template create-cluster."""
    dns, gateway = own.get("dnsServers"), own.get("defaultGateway")
    mask, pool = own.get("subnetMask"), (own.get("startingIPAddress"), own.get("endingIPAddress"))
    nodes = own.items("physicalNodesSettings")
    return Instance(
        hosts=[_host(node, node.get("ipv4Address")) for node in nodes],
        infrastructure=_infrastructure(mask, gateway, dns, pool),
        name=own.text("clusterName"),
        location=own.get("location"),
    )


def _of_settings(data: Thing) -> Instance:
    """Read deploymentSettings, as ARM has them after a deployment."""
    network = data.get("infrastructureNetwork", 0) or data
    pool = network.get("ipPools", 0) or network
    ends = (pool.get("startingAddress"), pool.get("endingAddress"))
    nodes = data.items("physicalNodes")
    return Instance(
        hosts=[_host(node, node.get("ipv4Address")) for node in nodes],
        infrastructure=_infrastructure(
            network.get("subnetMask"), network.get("gateway"), network.get("dnsServers"), ends
        ),
        name=data.text("cluster", "name"),
    )


def _of_odin(state: Thing) -> Instance:
    """Read the state of ODIN's wizard."""
    pool = (state.get("infra", "start"), state.get("infra", "end"))
    infrastructure = _infrastructure(None, state.get("infraGateway"), state.get("dnsServers"), pool)
    infrastructure.take("addressPrefix", state.get("infraCidr"))
    vlan = state.get("infraVlanId")
    if state.text("infraVlan") == "custom" and vlan is not None:
        number = int(vlan.value) if isinstance(vlan.value, str) and vlan.value.isdecimal() else vlan.value
        infrastructure.put("vlan", number, vlan)
    region = state.get("localInstanceRegion")
    named = {odins: ours for ours, odins in LOCAL_REGIONS.items()}
    classes = {odins: ours for ours, odins in SCALES.items()}
    architecture, scale = state.text("architecture"), state.text("scale")
    nodes = state.items("nodeSettings")
    short = named.get(str(region.value)) if region is not None else None
    return Instance(
        hosts=[_host(node, node.get("ipCidr")) for node in nodes if node.text("name")],
        infrastructure=infrastructure if pool[0] is not None else None,
        location=Thing(short, region.file, region.line, region.path) if region is not None and short else None,
        deployment_class="disaggregated" if architecture == "disaggregated" else classes.get(scale or ""),
    )


def _host(node: Thing, address: Thing | None) -> Written:
    made, name = Written(), node.get("name")
    own = str(name.value).lower() if name is not None else None
    text = str(address.value).partition("/")[0] if address is not None else None
    made.put("name", own, name)
    made.put("connection", f"qemu+ssh://root@{text}/system" if text is not None else QEMU, address)
    made.put("managementAddress", text, address)
    return made


def _infrastructure(
    mask: Thing | None, gateway: Thing | None, dns: Thing | None, pool: tuple[Thing | None, Thing | None]
) -> Written:
    made, ends = Written(), Written()
    start, end = pool
    made.put("addressPrefix", _prefix(start, mask), mask)
    made.take("gateway", gateway)
    made.take("dnsServers", dns)
    ends.take("start", start)
    ends.take("end", end)
    made.add("pool", ends)
    return made


def _prefix(start: Thing | None, mask: Thing | None) -> str | None:
    """Return the subnet that an address is in; what is no such thing goes on to whoever checks the file."""
    if start is None or mask is None:
        return None
    written = f"{start.value}/{mask.value}"
    try:
        return str(IPv4Interface(written).network)
    except ValueError:
        return written


def _say_lost(own: Thing, report: Report) -> None:
    data = own.get(*_DATA) or own
    others = [
        (name, value) for name, value in data.entries() if name.lower() not in _READ and value.value is not False
    ]
    lost = [(name, value) for name, value in others if not value.is_empty]
    if lost:
        message = f"{names(lost)} of the deployment isn't imported: it is about Azure"
        remedy = "for an export, write what it needs at instance: in targets/<site>.yaml"
        report.say("import-left-out", lost[0][1], message, remedy)
    for key, word in _ODIN:
        answer = own.get(key)
        if answer is not None and answer.value == word:
            message, _, remedy = _ODIN[key, word].partition(": ")
            report.say("import-left-out", answer, message, remedy)
    cloud = own.text("region")
    if cloud in CLOUDS.values():
        (name,) = (ours for ours, odins in CLOUDS.items() if odins == cloud)
        place = own.get("region") or own
        report.say("import-left-out", place, f"ODIN's design is for {name}", f"write azlocal:arc's cloud: {name}")


@dataclass(frozen=True, slots=True)
class Files:
    """What the files of an import are called.

    Attributes:
        stack: The stack, or instance.
        site: The site.
    """

    stack: str
    site: str

    @property
    def config(self) -> str:
        """Return the name of the stack's file."""
        return f"Pulumi.{self.stack}.yaml"

    @property
    def hosts(self) -> str:
        """Return the name of the hosts' file."""
        return f"hosts/{self.site}.yaml"

    @property
    def netplan(self) -> str:
        """Return the name of the networks' file."""
        return f"netplans/{self.site}.yaml"


def complete(known: Instance, by_network: Written | None, files: Files, report: Report) -> Iterator[str]:
    """Fill in what nobody says, so that the files can be planned; yield which of them have a guess.

    Args:
        known: What is known; it is completed.
        by_network: The infrastructure by a logical network of the instance's own.
        files: What the files are called.
        report: What is told of each guess.
    """
    known.infrastructure = known.infrastructure or by_network
    if known.infrastructure is None:
        known.infrastructure = Written(dict(_PLACEHOLDER))
        message = f"no file says which network the hosts have; {_PLACEHOLDER['addressPrefix']} is nobody's"
        remedy = "write yours at infrastructure; or import the deployment's parameters, or ODIN's design, too"
        report.say("import-guessed", f"{files.netplan}: infrastructure", message, remedy)
        yield files.netplan
    yield files.hosts
    if known.hosts:
        message = (
            "Azure doesn't say how hosts of yours are reached: each is root's by SSH at the Azure host's address"
        )
        remedy = "write connection and managementAddress of each, and uplink, the NIC that carries the networks"
    else:
        host = Written()
        host.put("name", "node1")
        host.put("connection", QEMU)
        known.hosts = [host]
        message = "no file says which hosts there are: node1 is this machine"
        remedy = "write each host: connection: qemu+ssh://user@address/system, managementAddress, uplink"
    report.say("import-guessed", f"{files.hosts}: hosts", message, remedy)


def region_of(azure: Azure, known: Instance, report: Report) -> str | None:
    """Return the region that everything is in; what is in another is said."""
    resources: list[Resource] = [*(resource.instance for resource in azure.clusters)]
    resources += [cluster.connected for cluster in azure.clusters if cluster.connected is not None]
    locations = [known.location, *(resource.thing.get("location") for resource in (*resources, *azure.networks))]
    places = [place for place in locations if place is not None and isinstance(place.value, str)]
    if not places:
        return None
    first = short_location(str(places[0].value))
    for other in places[1:]:
        if short_location(str(other.value)) != first:
            message = f"{other.value} isn't {places[0].value}, as at {places[0].where}: an instance has one region"
            report.say(
                "import-left-out", other, message, f"the stack gets {first}; correct it, if that isn't right"
            )
            break
    return first
