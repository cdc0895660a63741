"""What a stack needs of the node image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.image.cache import find_node_image
from infra.image.model import ImageKind, NodeImage
from infra.spec.loader import load_stack

_KVM: Final = Path("/dev/kvm")


@dataclass(frozen=True)
class ImageNeeds:
    """Which image a stack's machines boot.

    Attributes:
        kind: With Kubernetes, or the plain one.
        vm_disk: Whether a machine is, or may become, a VM, which boots a disk.
    """

    kind: ImageKind
    vm_disk: bool

    def find(self) -> NodeImage | None:
        """Return the image from the cache; None if it, or its disk, has to be built."""
        image = find_node_image(self.kind)
        return image if image and (image.vm or not self.vm_disk) else None


def needs_of(stack: str, directory: Path) -> ImageNeeds:
    """Read what a stack's files say.

    Raises:
        SpecError: They can't be read.
    """
    config, _, hosts = load_stack(stack, directory)
    vm_disk = config.machine_type != "container"
    if config.machine_type == "auto" and hosts is not None and all(host.is_local for host in hosts.hosts):
        vm_disk = _KVM.exists()  # of other hosts only `up` finds it out
    return ImageNeeds(config.node_image, vm_disk)
