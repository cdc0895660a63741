"""What a stack needs of the node image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.image.cache import find_node_image
from infra.image.model import NodeImage
from infra.model.image import NodeImageKind
from infra.model.machine_traits import may_run_containers, may_run_vms
from infra.model.versions import BUILT, DEFAULT, KubernetesVersion
from infra.spec.loader import load_stack

_KVM: Final = Path("/dev/kvm")


@dataclass(frozen=True)
class ImageNeeds:
    """Which images a stack's machines boot.

    Attributes:
        kind: With Kubernetes, or the plain one.
        vm_disk: Whether a machine is, or may become, a VM, which boots a disk.
        versions: The Kubernetes versions, one image each; the plain image has none, and is asked for by any.
    """

    kind: NodeImageKind
    vm_disk: bool
    versions: tuple[KubernetesVersion, ...] = (DEFAULT,)

    def find(self) -> list[NodeImage] | None:
        """Return the images from the cache; None if one, or its disk, has to be built."""
        images = [find_node_image(self.kind, version) for version in self.versions]
        complete = [image for image in images if image and (image.vm or not self.vm_disk)]
        return complete if len(complete) == len(images) else None


def needs_of(stack: str, directory: Path) -> ImageNeeds:
    """Read what a stack's files say.

    Raises:
        SpecError: They can't be read.
    """
    config, _, hosts = load_stack(stack, directory)
    vm_disk = may_run_vms(config.machine_type)
    is_local = hosts is not None and all(host.is_local for host in hosts.hosts)
    if vm_disk and is_local and may_run_containers(config.machine_type):
        vm_disk = _KVM.exists()  # of other hosts only `up` finds it out
    # What isn't built isn't needed either: the plan and `up` refuse it.
    versions = tuple(version for version in BUILT if version.version in config.images) or (DEFAULT,)
    return ImageNeeds(config.node_image, vm_disk, versions)
