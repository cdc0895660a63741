"""What a machine is told once, before its first boot."""

from __future__ import annotations

from pydantic import Field

from infra.model.base import Model
from infra.model.node import NodeInputs


class FirstBoot(Model):
    """What the machine is told once, through its seed."""

    hostname: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    address: str = Field(description="Static IPv4 address with its prefix length, 10.0.0.5/24")
    gateway: str
    dns_servers: list[str]
    authorized_keys: list[str] = Field(min_length=1, description="OpenSSH public keys that may log in")
    node: NodeInputs | None = None
    mtu: int | None = Field(default=None, ge=1230, description="Bytes in a packet, where it isn't 1500")

    @property
    def host_address(self) -> str:
        """Return the address without its prefix length."""
        return self.address.partition("/")[0]

    def patched_as(self, other: FirstBoot) -> FirstBoot:
        """Return it with what a machine takes as it runs as another one has it."""
        node = self.node
        if node is not None and other.node is not None:
            of_other = {name: getattr(other.node, name) for name in ("labels", "taints", "max_pods")}
            node = node.model_copy(update=of_other)
        return self.model_copy(update={"authorized_keys": other.authorized_keys, "node": node})
