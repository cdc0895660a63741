"""Virtual machines: a qcow2 overlay on the image, an ISO as seed, a QEMU domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import libvirt

from infra.kvm import seeds
from infra.kvm.capacity import unpromised_mib
from infra.kvm.connection import HostSession
from infra.kvm.domain_xml import DomainView, MachineDefinition, empty_seed_drive, emulated_vm_xml, vm_xml
from infra.kvm.errors import NoRoom
from infra.kvm.machine import GIB, Machine
from infra.kvm.ownership import Mark
from infra.kvm.storage import (
    Volume,
    capacity_of,
    create_volume,
    find_volume,
    open_pool,
    remove_volume,
    upload_bytes,
)

_UNDEFINE_ALL: Final = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 0)
)


class Vm(Machine):
    """A KVM guest. It has its processors and its memory's maximum for one run, and can migrate while it runs."""

    driver = "qemu"
    disk_suffix = ".qcow2"
    boot_seconds: ClassVar[float] = 300
    _domain_xml = staticmethod(vm_xml)

    @classmethod
    def to_xml(
        cls,
        wanted: MachineDefinition,
        *,
        disk: str,
        seed: str | None,
        data: str | None = None,
        host_memory_mib: int,
    ) -> str:
        """Return the QEMU domain; its memory is what it has, however much the host has."""
        return cls._domain_xml(wanted, disk, seed, data)

    def require_room(self, memory_mib: int) -> None:
        """See that the host has the memory for it beside all VMs that run there."""
        left = unpromised_mib(self.host.qemu)
        if left < memory_mib:
            raise NoRoom(
                f"{self.host.connection} has {left} MiB of memory that no VM may take, and {self.name} would need "
                f"{memory_mib}: give the host more, or move a machine of it to another one"
            )

    @classmethod
    def remove_traces(cls, host: HostSession, names: Sequence[str], mark: Mark) -> None:
        """A VM leaves none."""

    def _copy_image(
        self, pool: libvirt.virStoragePool, image: libvirt.virStorageVol, gib: int, *, grows: bool
    ) -> None:
        create_volume(pool, Volume(self.disk_name, gib * GIB, "qcow2", backing=image.path()))

    def create_data(self, gib: int) -> None:
        """Make the volume; nothing is allocated before it is written, and the guest formats an empty one."""
        pool = open_pool(self.host.qemu, self.pool)
        if find_volume(pool, self.data_name) is None:
            create_volume(pool, Volume(self.data_name, gib * GIB, "qcow2"))

    def grow_disk(self, gib: int) -> None:
        """Enlarge the disk of a stopped machine, and its data volume; their file systems follow at its boot."""
        super().grow_disk(gib)
        data = find_volume(open_pool(self.host.qemu, self.pool), self.data_name)
        if data is not None and capacity_of(data) < gib * GIB:
            data.resize(gib * GIB)

    def data_path(self) -> str | None:
        """Return the volume's path."""
        volume = find_volume(open_pool(self.host.qemu, self.pool), self.data_name)
        return None if volume is None else volume.path()

    def remove_data(self) -> None:
        """Delete the volume, if it is there."""
        remove_volume(open_pool(self.host.qemu, self.pool), self.data_name)

    @property
    def data_name(self) -> str:
        """Return the name of its data volume in the pool."""
        return f"{self.name}.data{self.disk_suffix}"

    def place_seed(self, files: Mapping[str, bytes]) -> None:
        """Put the seed's files on an ISO in the pool."""
        iso = seeds.iso_of(files)
        pool = open_pool(self.host.qemu, self.pool)
        upload_bytes(self.host.qemu, create_volume(pool, Volume(self._seed_name, len(iso), "raw")), iso)

    def seed_path(self) -> str | None:
        """Return the ISO's path, None once it is wiped."""
        volume = self._seed()
        return None if volume is None else volume.path()

    def wipe_seed(self) -> None:
        """Take the ISO out of its drive, overwrite and delete it."""
        volume = self._seed()
        if volume is None:
            return
        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
        if self.is_active:
            flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
        self.domain.updateDeviceFlags(empty_seed_drive(), flags)
        seeds.wipe(volume)

    def remove_seed(self) -> None:
        """Overwrite and delete the ISO if it is there."""
        volume = self._seed()
        if volume is not None:
            seeds.wipe(volume)

    def retire(self, target: str) -> None:
        """Keep what a migration to `target` left here from ever starting: its disk is no more the machine's."""
        self.domain.setAutostart(False)
        self.domain.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_DESCRIPTION,
            f"Migrated to {target}: azlocal removes this definition and its old disk. Don't start it.",
            None,
            None,
            libvirt.VIR_DOMAIN_AFFECT_CONFIG,
        )

    def _is_defined(self, view: DomainView, wanted: MachineDefinition) -> bool:
        return super()._is_defined(view, wanted) and view.memory_maximum_mib == wanted.memory_mib

    def _needs_restart(self, wanted: MachineDefinition) -> bool:
        if not self.is_active:
            return False
        live = self.live
        return (live.vcpus, live.memory_maximum_mib) != (wanted.vcpus, wanted.memory_mib)

    def _undefine(self) -> None:
        """Forget the domain with its NVRAM and TPM state."""
        self.domain.undefineFlags(_UNDEFINE_ALL)

    def _seed(self) -> libvirt.virStorageVol | None:
        return find_volume(open_pool(self.host.qemu, self.pool), self._seed_name)

    @property
    def _seed_name(self) -> str:
        return f"{self.name}{seeds.SEED_VOLUME}"


class EmulatedVm(Vm):
    """A guest whose processor QEMU emulates, where KVM can't run."""

    boot_seconds = 900
    _domain_xml = staticmethod(emulated_vm_xml)
