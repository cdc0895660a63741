"""What the program would declare of a plan, as far as it is known before `up`: plain data that two plans compare.

Built by the functions that the program's components use. A value that only `up` knows is a stand-in, which says
whose it is: such values differ where that was replaced. Nothing in a record is a secret: values of charts and
extensions, where people may write some, are there as digests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from infra.declarations import (
    KubernetesNode,
    connection_inputs,
    host_inputs,
    identity_inputs,
    kubernetes_nodes,
    machine_inputs,
    network_inputs,
)
from infra.effects.later import Later, to_plain
from infra.login_keys import login_keys
from infra.model.machine import MachineType, RequestedMachineType
from infra.model.node import PodSecurity
from infra.plan.addresses.numbers import range_text
from infra.plan.arc_topology import Arc
from infra.plan.instance import Plan
from infra.plan.topology import Cluster, Host, Topology, build_topology
from infra.resources.arguments import ConnectedClusterArgs
from infra.spec import InstanceSpec, SpecError, read_public_keys
from infra.spec.findings import without_login

if TYPE_CHECKING:
    from infra.resources.arguments import Input

HOST: Final = "azlocal:index:Host"
NETWORK: Final = "azlocal:index:Network"
MACHINE: Final = "azlocal:index:Machine"
IDENTITY: Final = "azlocal:index:ClusterIdentity"
CONNECTION: Final = "azlocal:index:ConnectedCluster"
CLUSTER: Final = "azlocal:infra:Cluster"


@dataclass(frozen=True)
class Record:
    """What one resource would be told.

    Attributes:
        type: The resource's type.
        name: Its name in the plan.
        inputs: What it is told.
        about: What people know it by: its cluster, its pool, its host, its size.
    """

    type: str
    name: str
    inputs: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"type": self.type, "name": self.name, "inputs": dict(self.inputs), "about": dict(self.about)}


@dataclass(frozen=True)
class _Place:
    """A host, as far as it is known before it is looked at."""

    host: Host
    asked: RequestedMachineType

    @property
    def connection(self) -> str:
        return self.host.connection

    @property
    def pool(self) -> Input[str]:
        return Later("the instance")  # named after it

    @property
    def machine_type(self) -> Input[MachineType]:
        return self.asked if self.asked != "auto" else Later(f"host {self.host.name}", "auto")

    @property
    def secure_boot(self) -> Input[bool]:
        return Later(f"host {self.host.name}")

    @property
    def tpm(self) -> Input[bool]:
        return Later(f"host {self.host.name}")


class _Identity:
    """A cluster's identity, before it is made."""

    def __init__(self, cluster: Cluster) -> None:
        owner = f"identity {cluster.name}"
        self.ca_certificate: Input[str] = Later(owner)
        self.ca_hash: Input[str] = Later(owner)
        self.token: Input[str] = Later(owner)
        self.keys: Input[Mapping[str, Input[str]]] = Later(owner)
        self.encryption_keys: Input[Sequence[Input[str]] | None] = Later(owner)
        self.pod_security: Input[PodSecurity | None] = Later(owner)


def records_of(spec: InstanceSpec, plan: Plan) -> tuple[Record, ...] | None:
    """Return what resources are told by a plan; None where it isn't sound."""
    if not plan.ok:
        return None
    return tuple(_records(spec, build_topology(spec, plan)))


def _records(spec: InstanceSpec, topology: Topology) -> Iterator[Record]:
    hosts = {host.name: host for host in topology.hosts}
    for host in topology.hosts:
        yield _record(HOST, host.name, host_inputs(host, topology, Later("the state")))
        for network in topology.networks:
            if network.host == host.name:
                name = f"{host.name}/{network.libvirt_name}"
                yield _record(NETWORK, name, network_inputs(network, host, topology.instance))
    keys = _keys(spec)
    nodes: dict[str, KubernetesNode] = {}
    for cluster in topology.clusters:
        if cluster.provisioning == "kubernetes":
            yield _record(IDENTITY, cluster.name, identity_inputs(cluster, topology.instance))
            members = [member for member in topology.machines if member.cluster == cluster.name]
            identity = _Identity(cluster)
            nodes |= kubernetes_nodes(
                cluster, members, topology.instance, identity, lambda _: Later("the node image")
            )
        if cluster.arc is not None and topology.arc is not None:
            yield _record(CONNECTION, cluster.name, _connection(cluster, topology.arc))
        yield _record(CLUSTER, cluster.name, _cluster(cluster))
    surging = {(cluster.name, pool) for cluster in topology.clusters for pool in cluster.surging_pools}
    for machine in topology.machines:
        inputs = machine_inputs(
            machine,
            topology.instance,
            place=_Place(hosts[machine.host], topology.machine_type),
            image=Later("the node image", machine.image),
            network=Later(f"network {machine.host}/{machine.libvirt_network}", machine.libvirt_network),
            reached_through=hosts[machine.reached_through].connection,
            authorized_keys=keys,
            identity_files=(),  # paths of whoever plans
            live_hosts=(host.connection for host in topology.hosts if host.drains_live),
            kubernetes=nodes.get(machine.name),
        )
        # What is only ever used at creation, and holds secrets.
        inputs |= {"node_secrets": None, "node_settings": None}
        about = {
            "machine": machine.name,
            "role": machine.role,
            "cluster": machine.cluster,
            "pool": machine.pool,
            "host": machine.host,
            "vmSize": machine.vm_size,
            "surges": (machine.cluster, machine.pool) in surging,
        }
        yield _record(MACHINE, machine.owner, inputs, about)


def _record(type_: str, name: str, inputs: Mapping[str, object], about: Mapping[str, Any] | None = None) -> Record:
    return Record(type_, name, to_plain(inputs), about or {})


def _keys(spec: InstanceSpec) -> Input[Sequence[Input[str]]]:
    """Return the login keys; where they can't be read here, a stand-in that says which the stack names."""
    unread: Later[Sequence[Input[str]]] = Later(
        "the login keys", ", ".join(spec.stack.ssh_public_keys) or "the user's own"
    )
    try:
        return list(read_public_keys(login_keys(spec), spec.directory)) or unread
    except SpecError:
        return unread


def _connection(cluster: Cluster, arc: Arc) -> ConnectedClusterArgs:
    assert cluster.arc is not None  # noqa: S101 - only connected clusters come here
    spec = arc.spec
    return {
        **connection_inputs(cluster.arc),
        "subscription_id": spec.subscription_id or Later("the emulator"),
        "resource_group": arc.resource_group,
        "private_link_scope_id": spec.private_link_scope,
        "gateway_id": spec.gateway,
    }


def _cluster(cluster: Cluster) -> dict[str, object]:
    """Return what else is made in a cluster, by what people call it."""
    inputs: dict[str, object] = {
        "provisioning": cluster.provisioning,
        "loadBalancer": [range_text(span) for span in cluster.load_balancer_ranges],
        "addOns": {name: _digest(values) for name, values in cluster.add_on_values.items()},
        "storageClasses": {
            declared.name: _digest(declared.model_dump(mode="json", by_alias=True))
            for declared in cluster.storage_classes
        },
    }
    if cluster.arc is not None:
        settings, proxy = cluster.arc.settings, cluster.arc.proxy
        for key, listed in (
            ("extensions", cluster.arc.extensions),
            ("fluxConfigurations", settings.flux_configurations),
            ("customLocations", settings.custom_locations),
        ):
            inputs[key] = {
                setting.name: _digest(setting.model_dump(mode="json", by_alias=True)) for setting in listed
            }
        if proxy is not None:
            urls = {"httpProxy": proxy.http_proxy, "httpsProxy": proxy.https_proxy}
            inputs["proxy"] = {key: without_login(url) for key, url in urls.items() if url} | {
                "noProxy": list(proxy.no_proxy)
            }
    return inputs


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
