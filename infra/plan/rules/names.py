"""Names: unique, fit for machines and DNS, and pointing at something that is there."""

from collections.abc import Iterable, Iterator

from infra.model.machine import LONGEST_LOOP_PATH
from infra.model.machine_traits import may_run_containers
from infra.plan.addresses.plan import INFRASTRUCTURE
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath, shown
from infra.spec.forms import CLUSTER_NAME, HOST_NAME, NETWORK_NAME, POOL_NAME, Form
from infra.spec.loader import FileKind
from infra.spec.machine_names import machine_name

VOLUMES = "volumes"  # the folder of machines' disks; a test holds it to infra.kvm.host_folders
_NETBIOS_LENGTH = 15
_MACHINE_NAME_LENGTH = 63  # a DNS label; the machine's name is its host name

_Named = tuple[FileKind, KeyPath, str]


def _names(facts: Facts) -> Iterator[tuple[str, Form, list[_Named]]]:
    """Yield each set of names that must be unique: what they name, their form, the names."""
    spec = facts.spec
    hosts: list[_Named] = [("hosts", ("hosts", i, "name"), host.name) for i, host in enumerate(spec.hosts.hosts)]
    networks: list[_Named] = [("netplan", (*logical.path, "name"), logical.name) for logical in facts.logical]
    clusters: list[_Named] = [("stack", (*path, "name"), named.name) for path, named in facts.clusters]
    yield "host", HOST_NAME, hosts
    yield "logical network", NETWORK_NAME, networks
    yield "cluster", CLUSTER_NAME, clusters
    for path, cluster in facts.clusters:
        pools: list[_Named] = [
            ("stack", (*path, "agentPools", number, "name"), pool.name)
            for number, pool in enumerate(cluster.agent_pools)
        ]
        yield f"pool of cluster {cluster.name}", POOL_NAME, pools


@rule("bad-name", source="API-TSP, API-LNET, RFC 1123")
def bad_name(facts: Facts) -> Iterator[Fault]:
    """A name has the form of what it names."""
    for kind, form, names in _names(facts):
        for file, path, name in names:
            if not form.fits(name):
                message = f"'{name}' can't name a {kind}; it is not {form.words}"
                yield Fault(file, path, message, f"write it as {_lowered(name, form)}")


@rule("ssh-key-not-here", source="azlocal", severity="warning")
def ssh_key_not_here(facts: Facts) -> Iterator[Fault]:
    """A key that is given by the path of its file is there; `up` reads it where that runs."""
    for index in facts.spec.absent_keys:
        message = f"there is no file {shown(facts.spec.stack.ssh_public_keys[index])} here, and `up` needs it"
        remedy = "correct the path, give the key's text, or run `up` where the file is"
        yield Fault("stack", ("sshPublicKeys", index), message, remedy)


@rule("file-not-here", source="azlocal", severity="warning")
def file_not_here(facts: Facts) -> Iterator[Fault]:
    """A file that `arc:` names, of certificates or host keys, is there; `up` reads it where that runs."""
    for path, written in facts.spec.absent_files:
        message = f"there is no file {shown(written)} here, and `up` needs it"
        yield Fault("stack", path, message, "correct the path, or run `up` where the file is")


@rule("host-name-not-netbios", source="ODIN", severity="warning")
def host_name_not_netbios(facts: Facts) -> Iterator[Fault]:
    """A host's name is a NetBIOS name too, as Azure Local's machines need it."""
    for index, host in enumerate(facts.spec.hosts.hosts):
        if len(host.name) > _NETBIOS_LENGTH:
            message = f"host name '{host.name}' has {len(host.name)} characters; NetBIOS has {_NETBIOS_LENGTH}"
            yield Fault("hosts", ("hosts", index, "name"), message, "fine here; shorten it for Azure Local")


@rule("duplicate-name", source="azlocal")
def duplicate_name(facts: Facts) -> Iterator[Fault]:
    """A name stands for one thing."""
    for kind, _, names in _names(facts):
        seen = {INFRASTRUCTURE} if kind == "logical network" else set()
        for file, path, name in names:
            if name in seen:
                yield Fault(file, path, f"the name '{name}' is taken by another {kind}", "choose another name")
            seen.add(name)


@rule("names-alike", source="Azure Resource Manager: names are compared without case", severity="warning")
def names_alike(facts: Facts) -> Iterator[Fault]:
    """Two logical networks have names that differ in more than case: in Azure they are resources."""
    seen: dict[str, str] = {}
    for network in facts.logical:
        first = seen.setdefault(network.name.lower(), network.name)
        if first != network.name:
            message = f"{network.name} and {first} are one name to Azure, which compares them without case"
            yield Fault(
                "netplan", (*network.path, "name"), message, "fine here; choose another name for Azure Local"
            )


@rule("duplicate-machine", source="azlocal")
def duplicate_machine(facts: Facts) -> Iterator[Fault]:
    """Two machines or addresses of an instance have different names."""
    seen: dict[str, str | None] = {}
    for claim in facts.claims:
        if claim.owner in seen and seen[claim.owner] != claim.cluster:
            first = f"cluster {seen[claim.owner]}" if seen[claim.owner] else "the infrastructure"
            message = f"'{claim.owner}' would be a name in {first} and in cluster {claim.cluster}"
            yield Fault("stack", claim.path, message, "rename the cluster or the pool")
        seen.setdefault(claim.owner, claim.cluster)


@rule("machine-name-too-long", source="RFC 1123")
def machine_name_too_long(facts: Facts) -> Iterator[Fault]:
    """A machine's name, `<instance>-<owner>`, is a host name."""
    seen: set[KeyPath] = set()
    for claim in facts.claims:
        name = machine_name(facts.spec.name, claim.owner)
        if len(name) > _MACHINE_NAME_LENGTH and claim.path not in seen:
            seen.add(claim.path)
            message = f"the machine name '{name}' has {len(name)} characters; {_MACHINE_NAME_LENGTH} are possible"
            yield Fault("stack", claim.path, message, "shorten the name of the stack, the cluster or the pool")


@rule("container-disk-path", source="Linux: LO_NAME_SIZE of linux/loop.h")
def container_disk_path(facts: Facts) -> Iterator[Fault]:
    """A container's disk is a loop device, whose file the kernel knows by a path of 63 characters at most."""
    machine_type, instance = facts.spec.stack.machine_type, facts.spec.name
    if not may_run_containers(machine_type):
        return
    folder = max((host.storage_of(instance) for host in facts.spec.standing_hosts), key=len, default="")
    seen: set[KeyPath] = set()
    for machine in facts.machines:
        path = f"{folder}/{VOLUMES}/{machine_name(instance, machine.owner)}.raw"
        if len(path) > LONGEST_LOOP_PATH and machine.path not in seen:
            seen.add(machine.path)
            message = f"as a container, its disk is {path}: {len(path)} characters, of {LONGEST_LOOP_PATH}"
            remedy = "shorten the name of the stack, the cluster or the pool, or the host's storageDirectory"
            yield Fault("stack", machine.path, message, remedy, None if machine_type == "container" else "warning")


@rule("bad-instance-name", source="RFC 1123")
def bad_instance_name(facts: Facts) -> Iterator[Fault]:
    """The stack's name starts every machine's name, so it must be fit for host names."""
    if not HOST_NAME.fits(facts.spec.name):
        message = f"the stack name '{facts.spec.name}' can't start a host name"
        yield Fault("stack", (), message, "rename the stack with lower-case letters, digits and inner hyphens")


@rule("unknown-network", source="API-GA")
def unknown_network(facts: Facts) -> Iterator[Fault]:
    """A cluster names a logical network of its site."""
    for path, cluster in facts.clusters:
        if cluster.logical_network not in facts.by_name:
            message = f"there is no logical network '{cluster.logical_network}'"
            remedy = f"define a network of that name, or {_listed(facts.by_name)}"
            if cluster.logical_network == INFRASTRUCTURE:  # no logical network can have that name
                remedy = _listed(facts.by_name)
            elif not facts.by_name:
                remedy = "define a network of that name under logicalNetworks"
            yield Fault("stack", (*path, "logicalNetwork"), message, remedy)


def _lowered(name: str, form: Form) -> str:
    """Return the name in lower case, without underscores, where that is all it lacks; else the form's example."""
    for near in (name.lower(), name.lower().replace("_", "-")):
        if form.fits(near):
            return near
    return form.example


def _listed(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = ", …" if len(listed) > 8 else ""
    return f"use one of: {', '.join(listed[:8])}{more}" if listed else "define a network under logicalNetworks"
