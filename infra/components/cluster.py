"""An AKS cluster: its control-plane and worker machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from infra.components.node import Site, declare_machines
from infra.resources.machine import Machine
from infra.topology import Machine as MachineTopology


class Cluster(pulumi.ComponentResource):
    """The machines of one cluster on its logical network."""

    machines: Mapping[str, Machine]

    def __init__(
        self, name: str, machines: Iterable[MachineTopology], site: Site, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("azlocal:infra:Cluster", f"{site.instance}-{name}", None, opts)
        self.machines = declare_machines(machines, site, self)
        self.register_outputs({})
