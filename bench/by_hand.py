"""Machines as somebody would write them by hand: the yardsticks know nothing of infra.kvm."""

from __future__ import annotations

import uuid
from pathlib import Path


def domain_xml(name: str, *, disk: Path, seed: Path, network: str, memory_mib: int, vcpus: int) -> str:
    """Return a container's definition."""
    return f"""<domain type='lxc'><name>{name}</name><uuid>{uuid.uuid4()}</uuid>
        <memory unit='MiB'>{memory_mib}</memory><vcpu>{vcpus}</vcpu>
        <cputune><period>100000</period><quota>{vcpus * 100000}</quota></cputune>
        <os><type arch='x86_64'>exe</type><init>/usr/lib/azlocal/container-init</init></os>
        <features><capabilities policy='allow'/></features><devices>
        <filesystem type='file' accessmode='passthrough'><driver type='loop' format='raw'/>
        <source file='{disk}'/><target dir='/'/></filesystem>
        <filesystem type='mount' accessmode='passthrough'><source dir='{seed}'/>
        <target dir='/var/lib/cloud/seed/nocloud'/><readonly/></filesystem>
        <interface type='network'><source network='{network}'/></interface>
        <console type='pty'/></devices></domain>"""


def network_xml(name: str, bridge: str, gateway: str) -> str:
    """Return a NAT network of a /24."""
    return f"""<network><name>{name}</name><forward mode='nat'/><bridge name='{bridge}'/>
        <ip address='{gateway}' netmask='255.255.255.0'/></network>"""
