"""How many addresses an instance needs, and a netplan that holds them: `azlocal plan --size`."""

from infra.plan.sizing.sizes import NetworkSize, Sizing, size_instance

__all__ = ["NetworkSize", "Sizing", "size_instance"]
