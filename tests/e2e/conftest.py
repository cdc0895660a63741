"""Real machines as system containers on this machine's libvirt."""

from tests.instance import hypervisor, make_project

__all__ = ["hypervisor", "make_project"]
