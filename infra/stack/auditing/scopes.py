"""What of a stack is to stand on each host: by its state, and by its files where these can be read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from infra.audit.model import Scope
from infra.kvm.claim import TAKE_OVER
from infra.resources.host import HOST
from infra.resources.machine import MACHINE
from infra.resources.network import NETWORK
from infra.stack.settle import owners_of, resources_of

if TYPE_CHECKING:
    from infra.spec import InstanceSpec


def scopes_of(stack: str, deployment: Mapping[str, Any], spec: InstanceSpec | None = None) -> list[Scope]:
    """Return the hosts of a stack, those of the hosts file first, and what is to stand on each by its state.

    Args:
        stack: The stack's name, which is the instance's.
        deployment: What its state has.
        spec: What people wrote, where that can be read.
    """
    resources = list(resources_of(deployment))
    hosts = {host["connection"]: host for host in _values(resources, HOST.token)}
    machines, networks = _values(resources, MACHINE.token), _values(resources, NETWORK.token)
    machine_names = {
        *(str(machine["name"]) for machine in machines),
        *(str(name) for host in hosts.values() for name in host.get("machines") or ()),
    }
    bridges = {str(network["name"]): str(network["bridge"]) for network in networks}
    if spec is not None:
        planned_machines, planned_bridges = planned_names(spec)
        machine_names |= planned_machines
        bridges = {**planned_bridges, **bridges}
    written = {host.connection: host for host in spec.hosts.hosts} if spec else {}
    owners = owners_of(resources) | {os.environ.get(TAKE_OVER, "")}
    scopes = []
    for connection in dict.fromkeys((*written, *hosts)):
        host, of_file = hosts.get(connection), written.get(connection)
        name = str(host["name"]) if host else of_file.name if of_file else connection
        directory = host["storageDirectory"] if host else of_file.storage_of(stack) if of_file else ""
        scopes.append(
            Scope(
                instance=stack,
                stack=stack,
                host=name,
                connection=str(connection),
                directory=str(directory),
                stands=host is not None and not host.get("lost"),
                machines=_on(connection, machines),
                networks={name: bridges[name] for name in _on(connection, networks)},
                machine_names=frozenset(machine_names),
                network_bridges=bridges,
                owners=owners,
                is_lost=of_file.lost if of_file else bool(host and host.get("lost")),
                is_protected=of_file is not None and of_file.protected,
            )
        )
    return scopes


def _values(resources: Iterable[Mapping[str, Any]], token: str) -> list[Mapping[str, Any]]:
    """Return what state says of the resources of a kind whose create has ended."""
    return [resource["outputs"] for resource in resources if resource["type"] == token and resource.get("outputs")]


def _on(connection: str, objects: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(thing["name"]) for thing in objects if thing["connection"] == connection)


def planned_names(spec: InstanceSpec) -> tuple[set[str], dict[str, str]]:
    """Return the names of the machines that the files describe, and the bridge of each network."""
    from infra.spec import SpecError
    from infra.stack.standing import topology_of

    try:
        topology = topology_of(spec)
    except SpecError:
        return set(), {}
    return (
        {machine.name for machine in topology.machines},
        {network.libvirt_name: network.bridge for network in topology.networks},
    )
