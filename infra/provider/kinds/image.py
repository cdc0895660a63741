"""The Image kind: one upload per host and content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libvirt

from infra.kvm.connection import Hosts, HostSession
from infra.kvm.errors import HostError, HostUnreachable
from infra.kvm.image_copy import ImageCopies, Target, content_name
from infra.kvm.storage import (
    COMPLETE,
    Volume,
    capacity_of,
    create_volume,
    find_pool,
    find_volume,
    open_pool,
    overlays_of,
    remove_volume,
    usable_pool,
)
from infra.model.machine_traits import traits_of
from infra.plugin.operation import Operation
from infra.plugin.values import UNKNOWN
from infra.provider.kind import Made
from infra.provider.kinds.base import HostedKind, parse_id
from infra.resources.contract import Fault
from infra.resources.image import IMAGE, ImageInputs, ImageState


class ImageKind(HostedKind[ImageInputs, ImageState]):
    """The node image in a host's pool."""

    contract = IMAGE

    def __init__(self, hosts: Hosts) -> None:
        super().__init__(hosts)
        self._copies = ImageCopies(hosts)

    def check(self, inputs: dict[str, Any], unknown: frozenset[str]) -> list[Fault]:
        """Name the volume after the content of the artefact that the host needs."""
        machine_type = inputs["machineType"]
        field = traits_of(machine_type).artifact
        if unknown & {"machineType", field}:
            inputs["volume"] = UNKNOWN
            return []
        if machine_type is None:
            return [] if inputs["volume"] else [Fault("machineType", "machineType: needed to choose the artefact")]
        artifact = inputs[field]
        if artifact is None:
            made_by = "azlocal image build" if field == "container" else "azlocal image build --vm-disk"
            wanted = f"{field}: machineType is {machine_type}, which needs this artefact; run `{made_by}`"
            return [Fault(field, wanted)]
        inputs["volume"] = f"image-{artifact['sha256'][:12]}.{artifact['format']}"
        return []

    def create(self, op: Operation, inputs: ImageInputs) -> Made[ImageState]:
        """Bring the image to the host unless it is there, whole, already; go on after an interrupted run."""
        volume = str(inputs.volume)
        with self.session(op, inputs.connection) as session:
            pool = open_pool(session.qemu, inputs.pool)
            if find_volume(pool, volume) is None:
                remove_volume(pool, volume + COMPLETE)
            if find_volume(pool, volume + COMPLETE) is None:
                self._bring(op, session, pool, inputs)
            state = _state(pool, inputs)
            if state is None:
                raise HostError(
                    f"{session.shell.host}: volume {volume} in pool {inputs.pool} went while it was made"
                )
            content = content_name(inputs.pool, volume)
            self._copies.spreads.has(content, inputs.connection, state.volume_path)
            return self.made(state)

    def read(self, op: Operation, id: str, old: ImageState | None) -> ImageState | None:
        """Return the image, None when its volume is gone or was never finished."""
        connection, path = parse_id(id, "azlocal-local/image-0123456789ab.raw")
        pool_name, _, volume = path.partition("/")
        with self.session(op, connection) as session:
            inputs = (
                ImageInputs(**old.model_dump(include=set(ImageInputs.model_fields)))
                if old
                else ImageInputs(instance=op.stack, connection=connection, pool=pool_name, volume=volume)
            )
            pool = find_pool(session.qemu, pool_name)
            if pool is None:
                return None
            if not pool.isActive():
                return old  # nothing can be seen; the Host resource shows the drift and repairs it
            return _state(pool, inputs) if find_volume(pool, volume + COMPLETE) else None

    def update(self, op: Operation, id: str, old: ImageState, inputs: ImageInputs) -> ImageState:
        """Nothing of an image changes in place; this resumes an interrupted upload."""
        return self.create(op, inputs).state

    def remove(self, op: Operation, old: ImageState) -> None:
        """Delete the volume; one that can't be seen, or that a disk is built on, goes with the host's storage."""
        with self.session(op, old.connection) as session:
            pool = usable_pool(session.qemu, old.pool)
            if pool is None or not old.volume:
                return
            overlays = overlays_of(pool, old.volume)
            if overlays:
                op.info(f"{old.volume} stays in pool {old.pool}: it carries {', '.join(overlays)}")
                return
            self._copies.spreads.lost(content_name(old.pool, old.volume), old.connection)
            remove_volume(pool, old.volume + COMPLETE)
            remove_volume(pool, old.volume)

    def _bring(
        self, op: Operation, session: HostSession, pool: libvirt.virStoragePool, inputs: ImageInputs
    ) -> None:
        """Make the volume what it has to be, from whatever there is of it."""
        artifacts = {"vm": inputs.vm, "container": inputs.container}
        artifact = artifacts[traits_of(inputs.machine_type).artifact]
        if artifact is None or inputs.volume is None:
            raise HostError("the image has no artefact for this host; run `azlocal image build`")
        source = Path(artifact.path)
        if not source.is_file():
            raise HostError(
                f"the node image is not at {source} any more; build it again with `azlocal image build`"
            )
        name, complete = inputs.volume, inputs.volume + COMPLETE
        volume = find_volume(pool, name) or create_volume(
            pool, Volume(name, artifact.virtual_size, artifact.format)
        )
        target = Target(inputs.connection, session.shell, inputs.pool, name, volume.path())
        try:
            self._copies.bring(source, target, inputs.neighbours, complete, op.work())
        except HostUnreachable:
            raise
        except HostError:
            remove_volume(pool, name)  # the host has no room for it, perhaps, and needs what it has
            raise
        create_volume(pool, Volume(complete, 0, "raw"))


def _state(pool: libvirt.virStoragePool, inputs: ImageInputs) -> ImageState | None:
    volume = find_volume(pool, str(inputs.volume))
    if volume is None:
        return None
    return ImageState(**inputs.model_dump(), volume_path=volume.path(), capacity=capacity_of(volume))
