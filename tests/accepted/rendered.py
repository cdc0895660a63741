"""What `up` would hand over for a plan, rendered without an engine, a host or a machine.

As the program and the plugin do it, by their own functions; what only they would learn is made up here.
"""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import ValidationError

from infra.declarations import host_inputs, identity_inputs, kubernetes_nodes, machine_inputs, network_inputs
from infra.firewall.flows import flows_of
from infra.firewall.text import render_nftables
from infra.guest import NO_SECRETS, Seed, SshHostKey
from infra.hosts.facts.network import Link
from infra.kvm import meshes
from infra.kvm.machines import MACHINES
from infra.kvm.networks import NetworkDefinition
from infra.kvm.ownership import Mark
from infra.kvm.preparation import Wanted
from infra.kvm.preparation.netplan import design_network
from infra.kvm.storage import Volume, pool_xml
from infra.model.host import Bridge
from infra.model.machine import MachineType
from infra.model.machine_traits import TRAITS
from infra.model.node import PodSecurity
from infra.plan.instance import Plan
from infra.plan.topology import Machine, Topology, build_topology
from infra.provider.kinds.machine_state import definition_of
from infra.provider.kinds.network import _definition as network_definition
from infra.resources.cluster_identity import CLUSTER_IDENTITY
from infra.resources.contract import Contract
from infra.resources.host import HOST
from infra.resources.machine import MACHINE, MachineInputs
from infra.resources.network import NETWORK, NetworkInputs
from infra.spec import InstanceSpec, SpecError, read_public_keys
from tests.kvm.preparation.samples import ENO2, with_links

Form = Literal[
    "kubeadm",
    "kubelet",
    "domain",
    "network",
    "storagepool",
    "storagevol",
    "netplan",
    "keepalived",
    "nft",
    "firewall",
    "cloud-config",
    "contract",
]
TYPES: Final[tuple[MachineType, ...]] = ("vm", "container", "emulated")
KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8Ht8Z3j6yDWPBHQtOp/R9rjWfvMo3MSA/K6q8D86mE"
TOKEN: Final = "abcdef.0123456789abcdef"
_HOST_MEMORY_MIB: Final = 1 << 17


@dataclass(frozen=True)
class Document:
    """A text that somebody else reads.

    Attributes:
        form: Who reads it.
        text: The text.
        about: Whose it is.
    """

    form: Form
    text: str
    about: str = field(compare=False)


@dataclass(frozen=True)
class _Place:
    connection: str
    machine_type: MachineType
    pool: str = "azlocal-lab"

    @property
    def secure_boot(self) -> bool:
        return self.machine_type != "container"

    tpm = secure_boot


@dataclass(frozen=True)
class _Identity:
    pod_security: PodSecurity
    ca_certificate: str = "CA PEM\n"
    ca_hash: str = "sha256:abc"
    token: str = TOKEN
    keys: Mapping[str, str] = field(default_factory=lambda: {"ca.key": "KEY"})
    encryption_keys: tuple[str, ...] = (b64encode(bytes(32)).decode("ascii"),)


def documents(spec: InstanceSpec, plan: Plan) -> Iterator[Document]:
    """Yield everything that is handed over for a plan; of each group of machines the first and the last."""
    topology = build_topology(spec, plan)
    mark = Mark(spec.name, spec.name, "urn")
    yield Document("firewall", render_nftables(spec.name, flows_of(spec, plan)), spec.name)
    yield from _hosts(topology, mark)
    yield from _networks(topology, mark)
    nodes: dict[str, Any] = {}
    for cluster in topology.clusters:
        if cluster.provisioning == "kubernetes":
            yield from _contract(CLUSTER_IDENTITY, identity_inputs(cluster, spec.name), cluster.name)
            members = [one for one in topology.machines if one.cluster == cluster.name]
            nodes |= kubernetes_nodes(
                cluster, members, spec.name, _Identity(cluster.pod_security), lambda name: f"v1.2.3-{name}"
            )
    keys = list(_keys(spec)) or [KEY]
    for machine, machine_type in zip(_ends(topology), itertools.cycle(_types(topology)), strict=False):
        yield from _machine(topology, machine, machine_type, keys, nodes, mark)


def _keys(spec: InstanceSpec) -> Iterator[str]:
    """Yield the login keys; one that is a file's path may be somewhere else, which the plan leaves to `up`."""
    for text in spec.stack.ssh_public_keys:
        with suppress(SpecError):
            yield from read_public_keys([text], spec.directory)


def _types(topology: Topology) -> tuple[MachineType, ...]:
    return TYPES[:2] if topology.machine_type == "auto" else (topology.machine_type,)


def _ends(topology: Topology) -> Iterator[Machine]:
    """Yield the first and the last machine of each group: the rest differs from them in numbers alone."""
    for _, group in itertools.groupby(topology.machines, lambda one: (one.cluster, one.role, one.pool)):
        first, *rest = group
        yield from (first, *rest[-1:])


def _contract(contract: Contract, inputs: Mapping[str, Any], about: str) -> Iterator[Document]:
    """Yield what the plugin is told, by the names of the wire."""
    wired = {contract.wire_names[name]: value for name, value in inputs.items()}
    yield Document("contract", json.dumps([contract.token, wired], default=str), f"{contract.token} {about}")


def _hosts(topology: Topology, mark: Mark) -> Iterator[Document]:
    for host in topology.hosts:
        inputs: Any = host_inputs(host, topology, "owner")
        yield from _contract(HOST, inputs, host.name)
        yield Document(
            "storagepool",
            pool_xml(f"azlocal-{mark.instance}", f"{host.storage_directory}/volumes", mark),
            host.name,
        )
        if host.uplink is not None and host.prepare and inputs["bridges"]:
            bridges = tuple(Bridge(**one) for one in inputs["bridges"])
            uplink = Link(host.uplink, mac=ENO2.mac)
            facts = with_links(uplink, netplan_files={}, own_netplan=None)
            design = design_network(facts, Wanted(topology.instance, mark, host.uplink, bridges))
            assert not design.faults, design.faults
            yield Document("netplan", str(design.netplan), f"host {host.name}")


def _networks(topology: Topology, mark: Mark) -> Iterator[Document]:
    hosts = {one.name: one for one in topology.hosts}
    for network in topology.networks:
        raw = network_inputs(network, hosts[network.host], topology.instance)
        yield from _contract(NETWORK, raw, network.name)
        inputs = NetworkInputs.model_validate(raw)
        name = network.libvirt_name
        definition: NetworkDefinition = network_definition(inputs)
        yield Document("network", definition.to_xml(mark.uuid("network", name)), network.name)
        if inputs.tunnel is not None:
            gateway = meshes.Gateway(inputs.bridge, str(inputs.address_prefix)) if inputs.gateway else None
            yield Document("nft", meshes.nft_rules(name, mark, inputs.tunnel, gateway), network.name)


def _machine(
    topology: Topology,
    machine: Machine,
    machine_type: MachineType,
    keys: list[str],
    nodes: Mapping[str, Any],
    mark: Mark,
) -> Iterator[Document]:
    hosts = {one.name: one for one in topology.hosts}
    place = _Place(hosts[machine.host].connection, machine_type)
    raw = machine_inputs(
        machine,
        topology.instance,
        place=place,
        image="image-abc.qcow2",
        network=machine.libvirt_network,
        reached_through=hosts[machine.reached_through].connection,
        authorized_keys=keys,
        identity_files=[],
        live_hosts=[],
        kubernetes=nodes.get(machine.name),
    )
    about = f"{machine_type} {machine.owner}"
    yield from _contract(MACHINE, raw, about)
    try:
        inputs = MachineInputs.model_validate(raw)
    except ValidationError:
        return  # the contract's refusal says it
    folder = hosts[machine.host].storage_directory
    machine_class = MACHINES[inputs.machine_type]
    disk = f"{inputs.name}{machine_class.disk_suffix}"
    yield Document(
        "storagevol", Volume(disk, inputs.disk_gib << 30, "qcow2", f"{folder}/volumes/image").to_xml(), about
    )
    domain = machine_class.to_xml(
        definition_of(inputs, mark, {}),
        disk=f"{folder}/volumes/{disk}",
        seed=f"{folder}/seeds/{inputs.name}",
        host_memory_mib=_HOST_MEMORY_MIB,
    )
    yield Document("domain", domain, about)
    unrendered = Seed(inputs.name, inputs.first_boot, TRAITS[inputs.machine_type], inputs.node_settings)
    seed = unrendered.render(SshHostKey("private", KEY), inputs.node_secrets or NO_SECRETS)
    yield Document("netplan", _network_config(seed["network-config"].decode()), about)
    yield Document("cloud-config", seed["user-data"].decode(), about)
    if "node.tar" not in seed:
        return
    files = _files(seed["node.tar"])
    for name in ("init.yaml", "join.yaml"):
        if name in files:
            yield Document("kubeadm", files[name], f"{name} of {about}")
    yield Document("kubelet", files["join.yaml"], about)
    if "keepalived.conf" in files:
        yield Document("keepalived", files["keepalived.conf"], about)


def _network_config(text: str) -> str:
    """Return the file that cloud-init makes of a seed's network-config for netplan: the same under one key."""
    return "network:\n" + "".join(f"  {line}\n" for line in text.splitlines())


def _files(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {}
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is not None
            found[member.name.removeprefix("etc/azlocal/node/")] = file.read().decode()
        return found
