"""The Arc resource bridge: on Azure Local, the appliance VM that connects the instance to Azure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pulumi

from infra.components.node import Site, declare_machines
from infra.plan.topology import Machine as MachineTopology
from infra.resources.declared import Machine


class ResourceBridge(pulumi.ComponentResource):
    """The resource bridge's machine on the infrastructure network."""

    machines: Mapping[str, Machine]

    def __init__(self, machines: Iterable[MachineTopology], site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__("azlocal:infra:ResourceBridge", f"{site.instance}-rb", None, opts)
        self.machines = declare_machines(machines, site, self)
        self.register_outputs({})
