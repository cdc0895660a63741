"""Real VMs on this machine's libvirt, under TCG where KVM is missing."""

from tests.instance import hypervisor, make_project

__all__ = ["hypervisor", "make_project"]
