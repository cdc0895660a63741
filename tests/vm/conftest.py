"""Real VMs on this machine's libvirt, under TCG where KVM is missing."""

from tests.instance import hypervisor

__all__ = ["hypervisor"]
