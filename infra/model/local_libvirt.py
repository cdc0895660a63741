"""libvirt's drivers on this machine, by the URIs under which each answers."""

from typing import Final

QEMU: Final = "qemu:///system"
LXC: Final = "lxc:///system"
