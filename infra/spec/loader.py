"""Read the three files of an instance into one InstanceSpec, or report all that is wrong with them."""

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import ValidationError

from infra.spec.explain import explain
from infra.spec.findings import Finding, KeyPath, SpecError, key_path, shown
from infra.spec.forms import SITE_NAME
from infra.spec.hosts import HostsFile, HostSpec
from infra.spec.machine_names import plan_name
from infra.spec.netplan import Netplan
from infra.spec.ssh_keys import absent_key_files, unusable_key_files
from infra.spec.stack import StackConfig
from infra.spec.tree import Document, Node, read_document
from infra.spec.types import Model
from infra.spec.vm_sizes import VmSize, vm_sizes

NAMESPACE = "azlocal:"
FileKind = Literal["stack", "hosts", "netplan"]
NetworkMode = Literal["nat", "bridge", "mesh"]

_STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_Model = TypeVar("_Model", bound=Model)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where things stand in the files, for findings made after reading."""

    stack: Document
    hosts: Document
    netplan: Document

    def where(self, file: FileKind, path: KeyPath = ()) -> str:
        """Name a place: `netplans/lab.yaml:12: logicalNetworks[0].ipPools`."""
        if file == "stack":
            return self.stack.where(path)
        return (self.hosts if file == "hosts" else self.netplan).where(path)


LOCK_ENDING: Final = ".lock.yaml"


def addresses_lock(directory: Path, site: str) -> Path:
    """Return where a site's addresses are recorded, in a project's folder."""
    return directory / "netplans" / f"{site}{LOCK_ENDING}"


def hosts_lock(directory: Path, site: str) -> Path:
    """Return where it is recorded which host each of a site's machines is on, in a project's folder."""
    return directory / "hosts" / f"{site}{LOCK_ENDING}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another site of the project, where libvirt makes networks of its own on a machine of this one.

    Attributes:
        site: Its name.
        host: What this site calls the machine.
        prefixes: Its networks there: name and subnet.
    """

    site: str
    host: str
    prefixes: tuple[tuple[str, IPv4Interface], ...]


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What people wrote about one instance.

    Attributes:
        name: The instance's name, which is the stack's.
        stack: The `azlocal:` keys of Pulumi.<stack>.yaml.
        hosts: hosts/<site>.yaml.
        netplan: netplans/<site>.yaml.
        sources: Where every value stands.
        directory: The project's folder; relative paths in the files start there.
        absent_keys: Which of `sshPublicKeys` name files that weren't here when the stack's file was read.
        neighbours: Other sites with NAT networks on the same machines.
    """

    name: str
    stack: StackConfig
    hosts: HostsFile
    netplan: Netplan
    sources: Sources
    directory: Path = Path()
    absent_keys: tuple[int, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def site(self) -> str:
        """Return the site's name."""
        return self.stack.site

    @property
    def lock_path(self) -> Path:
        """Return where the site's addresses are recorded."""
        return addresses_lock(self.directory, self.site)

    @property
    def hosts_lock_path(self) -> Path:
        """Return where it is recorded which host each of the site's machines is on."""
        return hosts_lock(self.directory, self.site)

    @property
    def standing_hosts(self) -> list[HostSpec]:
        """Return the hosts that are not lost; where all are, all, for a plan that is refused anyway."""
        return [host for host in self.hosts.hosts if not host.lost] or list(self.hosts.hosts)

    @property
    def gateway_host(self) -> HostSpec:
        """Return the host that holds the gateways of a mesh: the one the netplan names, else the file's first.

        One that is lost holds nothing.
        """
        standing = self.standing_hosts
        return next((host for host in standing if host.name == self.netplan.gateway_host), standing[0])

    def network_mode(self, host: HostSpec) -> NetworkMode:
        """Return how a host carries the networks."""
        return _network_mode(host, self.hosts, self.netplan)

    def holds_gateways(self, host: HostSpec) -> bool:
        """Tell whether a host's bridges have the gateways' addresses."""
        mode = self.network_mode(host)
        return mode == "nat" or (mode == "mesh" and host == self.gateway_host)

    def placement_pins(self, machines: Container[str]) -> dict[str, str]:
        """Return the host that people chose for each machine, by the plan's names, whichever name they wrote.

        Of two for one machine the first counts, and a rule says so.
        """
        found: dict[str, str] = {}
        for name, host in self.stack.placement.pins.items():
            owner = plan_name(name, self.name, machines)
            if owner is not None:
                found.setdefault(owner, host)
        return found

    def vm_sizes(self) -> dict[str, VmSize]:
        """Return every VM size that a machine of this instance can have."""
        return vm_sizes(self.hosts.vm_sizes)


def load_instance(stack: str, directory: Path) -> InstanceSpec:
    """Read Pulumi.<stack>.yaml, hosts/<site>.yaml and netplans/<site>.yaml.

    Args:
        stack: The stack's name, which is the instance's.
        directory: The project's folder.

    Raises:
        SpecError: Something can't be read; carries every fault of all three files.
    """
    document, config, findings = _read_stack(stack, directory)
    site = _site_of(document)
    if site is None:
        raise SpecError(findings)
    hosts_document = read_document(directory / "hosts" / f"{site}.yaml", f"hosts/{site}.yaml")
    netplan_document = read_document(directory / "netplans" / f"{site}.yaml", f"netplans/{site}.yaml")
    hosts, hosts_findings = _validate(HostsFile, hosts_document)
    netplan, netplan_findings = _validate(Netplan, netplan_document)
    findings = [*findings, *hosts_findings, *netplan_findings]
    if findings or config is None or hosts is None or netplan is None:
        raise SpecError(findings)
    sources = Sources(document, hosts_document, netplan_document)
    absent = absent_key_files(config.ssh_public_keys, directory)
    neighbours = tuple(_neighbours(site, hosts, netplan, directory))
    return InstanceSpec(stack, config, hosts, netplan, sources, directory, absent, neighbours)


def _neighbours(site: str, hosts: HostsFile, netplan: Netplan, directory: Path) -> Iterator[Neighbour]:
    """Yield the other sites with NAT networks on this site's machines; of files that can't be read, none."""
    own = {one.way.machine: one.name for one in hosts.hosts if _network_mode(one, hosts, netplan) == "nat"}
    for path in sorted((directory / "hosts").glob("*.yaml")) if own else ():
        if path.name.endswith(LOCK_ENDING) or path.stem == site:
            continue
        others, _ = _validate(HostsFile, read_document(path, f"hosts/{path.name}"))
        plan = load_netplan(path.stem, directory) if others else None
        if others is None or plan is None:
            continue
        prefixes = [("infrastructure", plan.infrastructure.address_prefix)]
        prefixes += [(one.name, one.address_prefix) for one in plan.logical_networks]
        for one in others.hosts:
            if one.way.machine in own and _network_mode(one, others, plan) == "nat":
                yield Neighbour(path.stem, own[one.way.machine], tuple(prefixes))


def _network_mode(host: HostSpec, hosts: HostsFile, netplan: Netplan) -> NetworkMode:
    """Return how a host carries the networks.

    A host that is alone has its end of a mesh, too, if others could reach it: so machines keep their networks when
    a second host comes, or goes.
    """
    if netplan.transport == "vxlan" and (len(hosts.hosts) > 1 or host.underlay_address):
        return "mesh"
    return "bridge" if host.uplink else "nat"


def load_netplan(site: str, directory: Path) -> Netplan | None:
    """Read netplans/<site>.yaml alone; None where there is none, or none that can be read."""
    path = directory / "netplans" / f"{site}.yaml"
    if not path.exists():
        return None
    return _validate(Netplan, read_document(path, f"netplans/{site}.yaml"))[0]


def load_stack(stack: str, directory: Path) -> tuple[StackConfig, Document, HostsFile | None]:
    """Read Pulumi.<stack>.yaml alone, and hosts/<site>.yaml where it is there already.

    Args:
        stack: The stack's name, which is the instance's.
        directory: The project's folder.

    Raises:
        SpecError: Something can't be read; carries every fault of both files.
    """
    document, config, findings = _read_stack(stack, directory)
    site = _site_of(document)
    path = directory / "hosts" / f"{site}.yaml"
    hosts = None
    if site is not None and path.exists():
        hosts, faults = _validate(HostsFile, read_document(path, f"hosts/{site}.yaml"))
        findings = [*findings, *faults]
    if findings or config is None:
        raise SpecError(findings)
    return config, document, hosts


def _read_stack(stack: str, directory: Path) -> tuple[Document, StackConfig | None, list[Finding]]:
    if not _STACK_NAME.fullmatch(stack):
        message = f"{shown(stack)} can't be a stack's name"
        raise SpecError([Finding("bad-name", "error", "STACK", message, "use letters, digits and hyphens")])
    document = _stack_document(read_document(directory / f"Pulumi.{stack}.yaml", f"Pulumi.{stack}.yaml"))
    config, findings = _validate(StackConfig, document)
    for index, why, remedy in unusable_key_files(config.ssh_public_keys if config else (), directory):
        place = document.where(("sshPublicKeys", index))
        findings.append(Finding("bad-ssh-key", "error", place, why, remedy))
    return document, config, findings


def _site_of(document: Document) -> str | None:
    site = document.root.value.get("site") if document.root else None
    return site if isinstance(site, str) and SITE_NAME.fits(site) else None


def _validate(model: type[_Model], document: Document) -> tuple[_Model | None, list[Finding]]:
    """Return the model, or what is wrong: the YAML's faults and the values' together."""
    faults = list(document.faults)
    if document.root is None:
        return None, faults
    try:
        return model.model_validate(document.root.value, by_alias=True, by_name=False), faults
    except ValidationError as error:
        return None, [*faults, *explain(error.errors(include_url=False), model, document)]


@dataclass(frozen=True, slots=True)
class _StackDocument(Document):
    """A stack file seen from its `azlocal:` keys."""

    def where(self, path: KeyPath) -> str:
        """Name a place as it is written in the file: with the key's namespace."""
        place = self.name
        line = self.line(path)
        if line is not None:
            place += f":{line}"
        if not path:
            return place
        return f"{place}: {key_path(('config', f'{NAMESPACE}{path[0]}', *path[1:]))}"


def _stack_document(document: Document) -> Document:
    """Narrow a stack file to our own keys; other namespaces and Pulumi's own keys are Pulumi's business."""
    if document.root is None:
        return document
    config = document.root.children.get("config")
    if config is None or not isinstance(config.value, dict):
        place = document.where(("config",))
        found = "there is no `config`" if config is None else f"`config` is {shown(config.value)}"
        remedy = f"write the instance under `config:`, its keys with `{NAMESPACE}` before them"
        finding = Finding("missing-key", "error", place, found, remedy)
        return Document(document.name, None, (*document.faults, finding))
    ours = Node({}, config.line)
    faults = list(document.faults)
    for key, node in config.children.items():
        name = str(key).removeprefix(NAMESPACE)
        if name == key:
            continue
        if isinstance(node.value, dict) and set(node.value) == {"secure"}:
            place = document.where(("config", key))
            message = f"`{key}` is encrypted, and the plan is made without the key"
            remedy = f"set it in plain: `pulumi config set --plaintext {key} …`; it is no secret"
            faults.append(Finding("encrypted-key", "error", place, message, remedy))
        ours.value[name], ours.children[name] = node.value, node
        ours.key_lines[name] = config.key_lines[key]
    return _StackDocument(document.name, ours, tuple(faults))
