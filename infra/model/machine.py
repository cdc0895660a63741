"""What a machine is, and how it runs."""

from typing import Final, Literal

MachineType = Literal["vm", "container", "emulated"]
"""How a machine runs on its host: a KVM guest, a system container, or a guest that QEMU emulates."""

RequestedMachineType = Literal["auto", "vm", "container", "emulated"]
"""How machines must run; `auto`: as each host can."""

LONGEST_LOOP_PATH: Final = 63
"""Most characters in the path of a loop device's file, as a container's disk is: LO_NAME_SIZE of linux/loop.h."""

MachineRole = Literal["resourceBridge", "controlPlane", "worker"]
