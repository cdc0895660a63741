"""Azure Local's VM sizes (azure_local_facts.md §1.2; SCALE, GPU, both 2026-09-01) and the site's own."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.spec.hosts import VmSizeSpec

NODE_DISK_GIB = 200  # default OS disk of a node, dynamically expanding (SCALE, NEW)


@dataclass(frozen=True, slots=True)
class VmSize:
    """What a machine of this size gets.

    Attributes:
        name: Azure's name, or the site's own.
        vcpus: Virtual processors.
        memory_mib: Memory in MiB.
        disk_gib: OS disk in GiB.
        for_control_plane: Whether Azure Local offers it for control planes.
        gpus: GPUs, which only Linux pools can have.
    """

    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int = NODE_DISK_GIB
    for_control_plane: bool = True
    gpus: int = 0


# name, vCPUs, GiB, offered for control planes
_GENERAL = (
    ("Standard_A2_v2", 2, 4, False),
    ("Standard_K8S3_v1", 4, 6, True),
    ("Standard_A4_v2", 4, 8, True),
    ("Standard_D4s_v3", 4, 16, True),
    ("Standard_D8s_v3", 8, 32, True),
    ("Standard_D16s_v3", 16, 64, False),
    ("Standard_D32s_v3", 32, 128, False),
)
# name, vCPUs, GiB, GPUs
_GPU = (
    ("Standard_NK6", 6, 12, 1),
    ("Standard_NK12", 12, 24, 2),
    *(
        (f"Standard_NC{cpus}_{model}", cpus, gib, gpus)
        for cpus, gib, gpus in ((4, 8, 1), (8, 16, 1), (16, 64, 2), (32, 128, 2))
        for model in ("A2", "A16")
    ),
    *(
        (f"Standard_NC{cpus}_{model}_{gpus}", cpus, gib, gpus)
        for cpus, gib in ((16, 64), (32, 128))
        for model in ("L4", "L40", "L40S", "RTX6000Pro")
        for gpus in (1, 2)
    ),
)

AZURE_SIZES: Mapping[str, VmSize] = {
    **{
        name: VmSize(name, cpus, gib * 1024, for_control_plane=for_control_plane)
        for name, cpus, gib, for_control_plane in _GENERAL
    },
    **{name: VmSize(name, cpus, gib * 1024, for_control_plane=False, gpus=gpus) for name, cpus, gib, gpus in _GPU},
}


def vm_sizes(own: Mapping[str, VmSizeSpec]) -> dict[str, VmSize]:
    """Return every size a site can use; the site's own win over Azure's."""
    return {
        **AZURE_SIZES,
        **{name: VmSize(name, size.vcpus, size.memory_gib * 1024, size.disk_gib) for name, size in own.items()},
    }
