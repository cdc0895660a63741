"""Read the three files of an instance into one InstanceSpec, or report all that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from infra.model.network import NetworkMode
from infra.model.run import RunSettings
from infra.spec.findings import Finding, KeyPath, SpecError, key_path, shown
from infra.spec.forms import SITE_NAME
from infra.spec.hosts import HostsFile, HostSpec
from infra.spec.machine_names import plan_name
from infra.spec.neighbours import Neighbour, SharedHost, look_around, network_mode
from infra.spec.netplan import Netplan
from infra.spec.reading import addresses_lock, hosts_lock, local_file, validate
from infra.spec.ssh_keys import absent_key_files, unusable_key_files
from infra.spec.stack import ClusterSpec, StackConfig
from infra.spec.tree import Document, Node, read_document
from infra.spec.vm_sizes import VmSize, vm_sizes

NAMESPACE = "azlocal:"
FileKind = Literal["stack", "hosts", "netplan"]

_MOST_LISTED = 8
STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


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


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another stack of the site, as its file is."""

    name: str
    config: StackConfig


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
        neighbours: Other sites with networks on the same machines: libvirt's own, or VLANs of one uplink.
        absent_files: Where the stack's file names other files that weren't here either, and their names.
        shared_hosts: Other sites that have a host in common with this one.
        siblings: The other stacks of the site that have a file.
        worker_versions: The Kubernetes version that workers keep for now, by cluster, while control planes pass
            minors on the way to another one.
        final_versions: The Kubernetes version that the files want, by cluster, where a run is on the way there.
    """

    name: str
    stack: StackConfig
    hosts: HostsFile
    netplan: Netplan
    sources: Sources
    directory: Path = Path()
    absent_keys: tuple[int, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    absent_files: tuple[tuple[KeyPath, str], ...] = ()
    shared_hosts: tuple[SharedHost, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    worker_versions: Mapping[str, str] = field(default_factory=dict)
    final_versions: Mapping[str, str] = field(default_factory=dict)

    def at(self, settings: RunSettings) -> InstanceSpec:
        """Return the instance with the versions and pool sizes that its clusters are to have for now."""
        return replace(
            self,
            stack=self.stack.model_copy(
                update={"clusters": tuple(_at(cluster, settings) for cluster in self.stack.clusters)}
            ),
            worker_versions={name: versions.workers for name, versions in settings.versions.items()},
            final_versions={cluster.name: cluster.kubernetes_version for cluster in self.stack.clusters},
        )

    @property
    def images(self) -> tuple[str, ...]:
        """Return the node images that machines boot, by the names that `StackConfig.images` has for them."""
        own = self.stack.images
        return own if own == ("plain",) else tuple(dict.fromkeys([*own, *self.worker_versions.values()]))

    def image_of(self, cluster: str | None, *, is_worker: bool) -> str:
        """Return which of `images` a machine boots; no cluster: one that becomes no node."""
        own = self.stack.images[0]
        version = self.stack.node_versions.get(cluster or "") if own != "plain" else None
        if version is None:
            return own
        return self.worker_versions.get(cluster or "", version) if is_worker else version

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
        return network_mode(host, self.hosts, self.netplan)

    def holds_gateways(self, host: HostSpec) -> bool:
        """Tell whether a host's bridges have the gateways' addresses."""
        mode = self.network_mode(host)
        return mode == "nat" or (mode == "mesh" and host == self.gateway_host)

    def placement_pins(self, machines: Container[str]) -> dict[str, str]:
        """Return the host that people chose for each machine, by the plan's names, whichever name they wrote.

        Of two for one machine the first counts, and a rule says so.
        """
        pins: dict[str, str] = {}
        for name, host in self.stack.placement.pins.items():
            owner = plan_name(name, self.name, machines)
            if owner is not None:
                pins.setdefault(owner, host)
        return pins

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
    hosts, hosts_findings = validate(HostsFile, hosts_document)
    netplan, netplan_findings = validate(Netplan, netplan_document)
    findings = [*findings, *hosts_findings, *netplan_findings]
    if findings or config is None or hosts is None or netplan is None:
        raise SpecError(findings)
    sources = Sources(document, hosts_document, netplan_document)
    absent = absent_key_files(config.ssh_public_keys, directory)
    neighbours, shared_hosts = look_around(site, hosts, netplan, directory)
    return InstanceSpec(
        stack,
        config,
        hosts,
        netplan,
        sources,
        directory,
        absent,
        neighbours,
        absent_files=tuple(absent_files(config, directory)),
        shared_hosts=shared_hosts,
        siblings=tuple(_siblings(stack, site, directory)),
    )


def _at(cluster: ClusterSpec, settings: RunSettings) -> ClusterSpec:
    versions, sizes = settings.versions.get(cluster.name), settings.pool_sizes.get(cluster.name, {})
    return cluster.model_copy(
        update={
            "kubernetes_version": versions.planes if versions else cluster.kubernetes_version,
            "agent_pools": tuple(pool.sized(sizes.get(pool.name)) for pool in cluster.agent_pools),
        }
    )


def _siblings(stack: str, site: str, directory: Path) -> Iterator[Sibling]:
    """Yield the other stacks of a site; none of a file that can't be read, as the stack's own plan says why."""
    names_site = re.compile(rf"\bsite['\"]?\s*:\s*['\"]?{re.escape(site)}(?![-\w])")
    for name in stack_names(directory):
        path = directory / f"Pulumi.{name}.yaml"
        try:  # a glance, since most stacks are of other sites
            is_of_site = name != stack and names_site.search(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if is_of_site:
            config, _ = validate(StackConfig, stack_document(read_document(path, path.name)))
            if config is not None and config.site == site:
                yield Sibling(name, config)


def absent_files(config: StackConfig, directory: Path) -> Iterator[tuple[KeyPath, str]]:
    """Yield where the stack's file names files that aren't here; `up` may run where they are."""
    if config.arc is None:
        return
    named = [(("arc", *place), written) for place, written in config.arc.files()]
    for index, cluster in enumerate(config.clusters):
        named += [(("clusters", index, "arc", *place), written) for place, written in cluster.arc.files()]
    for path, written in named:
        try:
            is_here = local_file(directory, written).is_file()
        except (OSError, RuntimeError, ValueError):  # RuntimeError: no such home; ValueError: a zero byte
            is_here = False
        if not is_here:
            yield path, written


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
        hosts, faults = validate(HostsFile, read_document(path, f"hosts/{site}.yaml"))
        findings = [*findings, *faults]
    if findings or config is None:
        raise SpecError(findings)
    return config, document, hosts


def _read_stack(stack: str, directory: Path) -> tuple[Document, StackConfig | None, list[Finding]]:
    if not STACK_NAME.fullmatch(stack):
        message = f"{shown(stack)} can't be a stack's name"
        raise SpecError([Finding("bad-name", "error", "STACK", message, "use letters, digits and hyphens")])
    document = stack_document(read_document(directory / f"Pulumi.{stack}.yaml", f"Pulumi.{stack}.yaml"))
    if [fault.rule for fault in document.faults] == ["missing-file"]:
        raise SpecError([replace(document.faults[0], remedy=_other_stacks(stack, directory))])
    config, findings = validate(StackConfig, document)
    for index, why, remedy in unusable_key_files(config.ssh_public_keys if config else (), directory):
        place = document.where(("sshPublicKeys", index))
        findings.append(Finding("bad-ssh-key", "error", place, why, remedy))
    return document, config, findings


def stack_names(directory: Path) -> list[str]:
    """Return the names of the stacks that have a file in a project's folder, sorted."""
    files = directory.glob("Pulumi.*.yaml")
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in files)


def _other_stacks(stack: str, directory: Path) -> str:
    """Say what to do where a stack has no file: name one that has, the one that is meant first."""
    known = stack_names(directory)
    meant = stack.lower().removeprefix("pulumi.").removesuffix(".yaml")
    if meant in known:
        return f"name the stack {meant}"
    listed = ", ".join(known[:_MOST_LISTED]) + (", …" if len(known) > _MOST_LISTED else "")
    return (
        f"create it, or name one of the stacks here: {listed}"
        if known
        else "create it, or name its folder with -C"
    )


def _site_of(document: Document) -> str | None:
    site = document.root.value.get("site") if document.root else None
    return site if isinstance(site, str) and SITE_NAME.fits(site) else None


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


def stack_document(document: Document) -> Document:
    """Narrow a stack file to our own keys; other namespaces and Pulumi's own keys are Pulumi's business."""
    if document.root is None:
        return document
    config = document.root.children.get("config")
    if config is None or not isinstance(config.value, dict):
        place = document.where(("config",))
        what = "there is no `config`" if config is None else f"`config` is {shown(config.value)}"
        remedy = f"write the instance under `config:`, its keys with `{NAMESPACE}` before them"
        finding = Finding("missing-key", "error", place, what, remedy)
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
