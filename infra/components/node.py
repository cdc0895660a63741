"""Machines of the topology, on their hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi

from infra.components.arc import AzureSite
from infra.components.node_image import NodeImageFiles
from infra.components.physical_host import LostHost, PhysicalHost
from infra.declarations import KubernetesNode, machine_inputs
from infra.plan.topology import Machine as MachineTopology
from infra.resources.declared import AddressProbe, Machine, NodePlacement


@dataclass(frozen=True)
class Site:
    """What every machine of an instance has in common; `live_hosts` are libvirt URIs of hosts that drain live."""

    instance: str
    hosts: Mapping[str, PhysicalHost]
    lost_hosts: tuple[LostHost, ...]
    live_hosts: tuple[str, ...]
    authorized_keys: tuple[str, ...]
    identity_files: tuple[str, ...]
    images: Mapping[str, NodeImageFiles]
    probes: Mapping[str, AddressProbe]
    azure: AzureSite | None


def declare_machines(
    machines: Iterable[MachineTopology],
    site: Site,
    parent: pulumi.Resource,
    nodes: Mapping[str, KubernetesNode] | None = None,
    placement: NodePlacement | None = None,
) -> dict[str, Machine]:
    """Declare machines by name; each needs its host's image, its network there, and that its address is free.

    Args:
        machines: The machines.
        site: What they have in common.
        parent: The component they belong to.
        nodes: By machine, the Kubernetes node it becomes; other machines become none.
        placement: Through which nodes that move leave their cluster first.
    """
    # A machine that moves is removed from its host here and now, so it has to be known before which are lost.
    first: list[pulumi.Resource] = [*(host.host for host in site.lost_hosts), *([placement] if placement else [])]
    return {
        machine.name: _declare(
            machine,
            site,
            site.hosts[machine.host],
            (nodes or {}).get(machine.name),
            pulumi.ResourceOptions(
                parent=parent,
                depends_on=[
                    *first,
                    *(probe for name, probe in site.probes.items() if name == machine.libvirt_network),
                ],
            ),
        )
        for machine in machines
    }


def _declare(
    machine: MachineTopology,
    site: Site,
    host: PhysicalHost,
    kubernetes: KubernetesNode | None,
    opts: pulumi.ResourceOptions,
) -> Machine:
    return Machine(
        machine.name,
        machine_inputs(
            machine,
            site.instance,
            place=host.host,
            image=host.images[machine.image].volume,
            network=host.networks[machine.libvirt_network].name,
            reached_through=site.hosts[machine.reached_through].host.connection,
            authorized_keys=list(site.authorized_keys),
            identity_files=site.identity_files,
            live_hosts=site.live_hosts,
            kubernetes=kubernetes,
        ),
        opts,
    )
