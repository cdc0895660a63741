"""What a machine is, and how it runs."""

from typing import Literal

MachineType = Literal["vm", "container", "emulated"]
"""How a machine runs on its host: a KVM guest, a system container, or a guest that QEMU emulates."""

RequestedMachineType = Literal["auto", "vm", "container", "emulated"]
"""How machines must run; `auto`: as each host can."""

MachineRole = Literal["resourceBridge", "controlPlane", "worker"]
