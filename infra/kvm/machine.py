"""One machine on one host: its disk, its seed, its domain. Each step can be repeated."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

import libvirt

from infra.kvm.connection import Driver, HostSession
from infra.kvm.domain_xml import DomainView, MachineDefinition, from_xml
from infra.kvm.errors import HostError, NotOurs, is_connection_lost, is_missing
from infra.kvm.ownership import Mark
from infra.kvm.storage import capacity_of, find_pool, find_volume, open_pool, remove_volume, usable_pool
from infra.model.work import Work

_SHUTDOWN_SECONDS: Final = 60
_DEATH_SECONDS: Final = 60
_KILL_PAUSE: Final = 0.1
_SHUTDOWN_PAUSE: Final = 0.1
_FOR_A_MOMENT: Final = frozenset({libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_SYSTEM_ERROR})
GIB: Final = 1 << 30


class Machine(ABC):
    """A machine, whether or not it stands: what it is made of, and what can be done with it.

    Attributes:
        host: A session on its host.
        pool: The storage pool that its disk lies in.
        name: Its name, which is also its domain's.
        mark: Who it belongs to.
    """

    driver: ClassVar[Driver]
    """The driver of libvirt that runs it."""
    disk_suffix: ClassVar[str]
    """Ends the name of its disk in the pool."""
    boot_seconds: ClassVar[float]
    """How long its first boot may take, until SSH answers."""

    def __init__(
        self, host: HostSession, pool: str, name: str, mark: Mark, domain: libvirt.virDomain | None = None
    ) -> None:
        """Name the machine; `domain` is given where it is known, and is looked up otherwise."""
        self.host = host
        self.pool = pool
        self.name = name
        self.mark = mark
        self._domain = domain

    @classmethod
    def hypervisor(cls, host: HostSession) -> libvirt.virConnect:
        """Return the connection that runs such machines."""
        return host.hypervisor(cls.driver)

    @classmethod
    def find(cls, host: HostSession, name: str, mark: Mark) -> Self | None:
        """Return the machine that stands under a name, in the pool that its record tells; None where none does.

        Raises:
            NotOurs: A domain of that name doesn't carry our mark.
        """
        machine = cls(host, "", name, mark)
        if not machine.exists:
            return None
        machine.pool = machine.definition.record.get("pool", "")
        return machine

    @classmethod
    @abstractmethod
    def remove_traces(cls, host: HostSession, names: Sequence[str], mark: Mark) -> None:
        """Remove what machines of these names leave on a host when somebody removes their domains by hand."""

    # -- what stands

    @property
    def exists(self) -> bool:
        """Return whether its domain stands.

        Raises:
            NotOurs: A domain of that name doesn't carry our mark.
        """
        if self._domain is not None:
            return True
        try:
            domain = self.hypervisor(self.host).lookupByName(self.name)
        except libvirt.libvirtError as error:
            if is_missing(error):
                return False
            raise
        if not self.mark.owns("domain", self.name, domain.UUIDString()):
            raise NotOurs(self.mark.refusal("domain", self.name, self.host.connection))
        self._domain = domain
        return True

    @property
    def domain(self) -> libvirt.virDomain:
        """Return its domain.

        Raises:
            HostError: There is none.
            NotOurs: A domain of that name doesn't carry our mark.
        """
        if not self.exists:
            raise HostError(
                f"{self.host.connection}: machine {self.name} is gone; run `pulumi refresh`, then `pulumi up`"
            )
        return self._domain

    @property
    def is_active(self) -> bool:
        """Return whether it has a process on the host; it may be paused."""
        return bool(self.domain.isActive())

    @property
    def definition(self) -> DomainView:
        """Return what the next start would run."""
        return from_xml(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    @property
    def live(self) -> DomainView:
        """Return what runs, or what would."""
        return from_xml(self.domain.XMLDesc())

    def started_at(self) -> int:
        """Return when it was last started, in seconds since 1970 by its host's clock; 0 where it is off.

        libvirt doesn't tell; it writes the file of the process's number when it starts one.
        """
        if not self.is_active:
            return 0
        command = ["stat", "--format=%Y", "--", f"/run/libvirt/{self.driver}/{self.name}.pid"]
        result = self.host.shell.run(command, check=False)
        return int(result.stdout) if result.exit_code == 0 else 0

    # -- disk and seed

    @property
    def disk_name(self) -> str:
        """Return the name of its disk in the pool."""
        return f"{self.name}{self.disk_suffix}"

    def disk_gib(self) -> int | None:
        """Return the disk's size in GiB, None when it can't be seen: gone, or its pool isn't started."""
        pool = find_pool(self.host.qemu, self.pool)
        if pool is None or not pool.isActive():
            return None
        volume = find_volume(pool, self.disk_name)
        return None if volume is None else capacity_of(volume) // GIB

    def is_disk_gone(self) -> bool:
        """Return whether the host says that there is no disk; a pool that isn't started says nothing."""
        pool = find_pool(self.host.qemu, self.pool)
        if pool is None:
            return True
        return bool(pool.isActive()) and find_volume(pool, self.disk_name) is None

    def create_disk(self, image: str, gib: int) -> None:
        """Make the disk as a copy-on-write copy of the image.

        Raises:
            HostError: The image isn't there, or is larger than the disk is to be.
        """
        pool = open_pool(self.host.qemu, self.pool)
        original = find_volume(pool, image)
        if original is None:
            raise HostError(
                f"{self.host.connection}: image volume {image!r} is not in pool {self.pool!r}; "
                "`pulumi refresh` and then `pulumi up` upload it again"
            )
        least = -(-capacity_of(original) // GIB)
        if gib < least:
            raise HostError(
                f"{self.name}: diskGiB is {gib}, but the node image needs {least}; raise diskGiB to that or more"
            )
        self._copy_image(pool, original, gib, grows=gib > least)

    def grow_disk(self, gib: int) -> None:
        """Enlarge the disk while the machine is stopped."""
        volume = self._disk()
        if capacity_of(volume) < gib * GIB:
            volume.resize(gib * GIB)

    def _disk(self) -> libvirt.virStorageVol:
        volume = find_volume(open_pool(self.host.qemu, self.pool), self.disk_name)
        if volume is None:
            raise HostError(
                f"{self.name}: its disk is gone from pool {self.pool!r} on {self.host.connection}; "
                f"`pulumi up --replace` of this machine replaces it"
            )
        return volume

    @abstractmethod
    def _copy_image(
        self, pool: libvirt.virStoragePool, image: libvirt.virStorageVol, gib: int, *, grows: bool
    ) -> None:
        """Make the disk of an image that is there; `grows` where it is larger than the image."""

    @abstractmethod
    def place_seed(self, files: Mapping[str, bytes]) -> None:
        """Put the cloud-init seed where the machine will find it."""

    @abstractmethod
    def seed_path(self) -> str | None:
        """Return where the seed lies on the host; None where the machine can do without."""

    @abstractmethod
    def wipe_seed(self) -> None:
        """Overwrite and delete what the machine has read, keys and tokens; nothing to do the second time."""

    @abstractmethod
    def remove_seed(self) -> None:
        """Overwrite and delete the seed if it is there, and delete it also where it can't be overwritten.

        Raises:
            CommandError: A container's couldn't be overwritten; it is deleted.
            libvirtError: A VM's couldn't be overwritten; it is deleted.
        """

    # -- data volume: what outlasts the machine when another one takes its place on its host

    @abstractmethod
    def create_data(self, gib: int) -> None:
        """Make an empty data volume, unless there is one."""

    @abstractmethod
    def data_path(self) -> str | None:
        """Return the path of its data volume on the host; None where it has none."""

    @abstractmethod
    def remove_data(self) -> None:
        """Delete the data volume, if it is there."""

    # -- domain

    def require_room(self, memory_mib: int) -> None:
        """See that the host has the memory for it; one that shares the host's kernel takes what it needs.

        Raises:
            NoRoom: It hasn't.
        """
        return

    @classmethod
    @abstractmethod
    def to_xml(
        cls,
        wanted: MachineDefinition,
        *,
        disk: str,
        seed: str | None,
        data: str | None = None,
        host_memory_mib: int,
    ) -> str:
        """Return what libvirt is told of a machine. Pure.

        Args:
            wanted: What the machine is to be.
            disk: Its disk's path on the host.
            seed: Its seed's path there; None once a VM's is wiped.
            data: Its data volume's path there; None where it has none.
            host_memory_mib: What the host has: how far the machine can grow.
        """

    def create(
        self,
        wanted: MachineDefinition,
        image: str,
        gib: int,
        seed: Mapping[str, bytes],
        work: Work,
        *,
        has_data: bool = False,
    ) -> None:
        """Make disk, seed and definition, and start it, in place of what there is of it.

        A data volume that is there is taken over with all that it holds. On failure undo all else and report the
        first error.

        Raises:
            NotOurs: A domain of that name belongs to somebody else; nothing is touched.
        """
        self.remove(keeps_data=has_data)
        try:
            work.status("copying the node image")
            self.create_disk(image, gib)
            if has_data:
                self.create_data(gib)
            work.status("writing the cloud-init seed")
            self.place_seed(seed)
            self.define(wanted)
            work.status("starting")
            self.start()
        except Exception:
            self.remove(keeps_data=has_data)
            raise

    def settle(
        self,
        wanted: MachineDefinition,
        gib: int,
        *,
        running: bool,
        work: Work,
    ) -> None:
        """Bring a machine that stands to what is wanted with the least disturbance.

        Its disk only grows. Where processors or memory can't change while it runs, or it is not to run, it is shut
        down in order.

        Raises:
            Interrupted: The run was cancelled while it was shutting down.
        """
        size = self.disk_gib()
        grows = size is not None and size < gib
        if not self._is_defined(self.definition, wanted):
            self.define(wanted)
        if not running or grows or self._needs_restart(wanted):
            self.stop(work)
        if grows:
            work.status(f"growing the disk to {gib} GiB")
            self.grow_disk(gib)
        if running:
            self.start()
            self._resize_live(self.live, wanted)

    def define(self, wanted: MachineDefinition) -> None:
        """Define the domain, or bring its definition to what is wanted; what runs is not touched."""
        xml = self.to_xml(
            wanted,
            disk=self._disk().path(),
            seed=self.seed_path(),
            data=self.data_path(),
            host_memory_mib=self.host.qemu.getInfo()[1],
        )
        self._domain = self.hypervisor(self.host).defineXML(xml)
        self.domain.setAutostart(True)

    def start(self) -> None:
        """Start the machine unless it runs."""
        if not self.is_active:
            self.domain.create()

    def stop(self, work: Work) -> None:
        """Shut the machine down in order; pull the plug when it doesn't end within a minute.

        Raises:
            Interrupted: The run was cancelled while waiting; the machine goes on shutting down.
        """
        shutdown = work.with_own_limit(_SHUTDOWN_SECONDS)
        if self.is_active:
            try:
                self.domain.shutdown()
            except libvirt.libvirtError:
                # Nothing in it listens (no ACPI yet, no init): there is nothing to wait for.
                shutdown = work.within(0)
        while self.is_active and shutdown.remaining:
            text = "waiting for the operating system to shut down"
            shutdown.status(text)
            shutdown.wait(_SHUTDOWN_PAUSE, text)
        self.kill()

    def kill(self) -> None:
        """Pull the plug if the machine runs.

        libvirt gives a container's processes a few seconds to die and then calls it an internal error. Those of a
        Kubernetes node take longer on a busy host, so it is tried again: what is dead by then is what was wanted.
        The same where a control group of the container's own goes while libvirt reads it, which it calls a system
        error.
        """
        deadline = time.monotonic() + _DEATH_SECONDS
        while True:
            try:
                self.domain.destroy()
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID or is_missing(error):
                    return
                is_patient = error.get_error_code() in _FOR_A_MOMENT and not is_connection_lost(error)
                if not is_patient or time.monotonic() >= deadline:
                    raise
            else:
                return
            time.sleep(_KILL_PAUSE)

    def _is_defined(self, view: DomainView, wanted: MachineDefinition) -> bool:
        """Return whether the definition holds the wanted processors and memory."""
        return (view.vcpus, view.memory_mib) == (wanted.vcpus, wanted.memory_mib)

    def _needs_restart(self, wanted: MachineDefinition) -> bool:
        """Return whether it runs with processors and memory that can't change before its end."""
        return False

    def _resize_live(self, live: DomainView, wanted: MachineDefinition) -> None:
        """Bring what runs to the wanted processors and memory, as far as that goes without a restart."""
        if live.memory_mib != wanted.memory_mib:
            scopes = [libvirt.VIR_DOMAIN_AFFECT_CONFIG] + [libvirt.VIR_DOMAIN_AFFECT_LIVE] * self.is_active
            for scope in scopes:
                self._set_memory(wanted.memory_mib * 1024, scope)

    def _set_memory(self, kib: int, scope: int) -> None:
        """Set what runs, or what the next start runs, to so much memory, up to its ceiling."""
        self.domain.setMemoryFlags(kib, scope)

    def remove(self, *, keeps_data: bool = False) -> None:
        """Remove domain, traces, disk and seed, whatever of them is there; and the data volume, unless it is kept.

        Raises:
            NotOurs: A domain of that name belongs to somebody else; nothing is removed.
        """
        if self.exists:
            self.kill()
            try:
                self._undefine()
            except libvirt.libvirtError as error:
                if not is_missing(error):
                    raise
            self._domain = None
        # Whoever removed the domain by hand left them.
        self.remove_traces(self.host, [self.name], self.mark)
        pool = usable_pool(self.host.qemu, self.pool)
        if pool is None:
            return  # disk and seed lie in the host's storage, and go when that goes
        self.remove_seed()
        remove_volume(pool, self.disk_name)
        if not keeps_data:
            self.remove_data()

    def _undefine(self) -> None:
        """Forget the domain."""
        self.domain.undefine()
