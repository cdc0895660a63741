"""System containers: a reflinked copy of the image, a folder as seed, an LXC domain, control groups."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

import libvirt

from infra.kvm import seeds
from infra.kvm.connection import HostSession
from infra.kvm.domain_xml import CPU_PERIOD, DomainView, MachineDefinition, container_xml
from infra.kvm.errors import HostError
from infra.kvm.host_folders import DATA, SEEDS
from infra.kvm.machine import GIB, Machine
from infra.kvm.ownership import Mark
from infra.kvm.storage import Volume, clone_volume, open_pool, pool_directory
from infra.model.machine import LONGEST_LOOP_PATH


class Container(Machine):
    """A system container. It shares its host's kernel, and its processors and memory change while it runs."""

    driver = "lxc"
    disk_suffix = ".raw"
    boot_seconds: ClassVar[float] = 180

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
        """Return the LXC domain, whose memory can be raised to all that the host has."""
        return container_xml(wanted, disk, seed, data, memory_ceiling_mib=max(host_memory_mib, wanted.memory_mib))

    def _copy_image(
        self, pool: libvirt.virStoragePool, image: libvirt.virStorageVol, gib: int, *, grows: bool
    ) -> None:
        path = f"{pool_directory(pool)}/{self.disk_name}"
        if len(path) > LONGEST_LOOP_PATH:
            raise HostError(
                f"{path} has {len(path)} characters, and the kernel knows a container's disk by "
                f"{LONGEST_LOOP_PATH} at most (container-disk-path): shorten the name of the stack, of the "
                "cluster or of the pool, or the host's storageDirectory"
            )
        volume = clone_volume(pool, Volume(self.disk_name, gib * GIB, "raw"), image)
        if grows:
            self._grow_file_system(volume.path())

    def grow_disk(self, gib: int) -> None:
        """Enlarge the disk of a stopped machine, with the file system on it."""
        super().grow_disk(gib)
        self._grow_file_system(self._disk().path())

    def _grow_file_system(self, path: str) -> None:
        # The container was stopped or never started; a journal left by a stop is replayed first.
        self.host.shell.run(["e2fsck", "-f", "-p", path], timeout=300, check=False)
        self.host.shell.run(["resize2fs", path], timeout=300)

    def create_data(self, gib: int) -> None:
        """Make the folder; what is in it shares the host's room, whatever `gib` says."""
        folder = self._data_folder()
        self.host.shell.make_directory(posixpath.dirname(folder), mode=0o700)
        self.host.shell.make_directory(folder, mode=0o755)

    def data_path(self) -> str | None:
        """Return the folder's path."""
        folder = self._data_folder()
        return folder if self.host.shell.exists(folder) else None

    def remove_data(self) -> None:
        """Delete the folder with all that is in it, if it is there."""
        self.host.shell.remove_tree(self._data_folder())

    def _data_folder(self) -> str:
        return self._beside_the_pool(DATA)

    def place_seed(self, files: Mapping[str, bytes]) -> None:
        """Put the seed's files in a folder beside the pool's."""
        folder = self.seed_path()
        self.host.shell.make_directory(folder, mode=0o700)
        for name, content in files.items():
            self.host.shell.write_file(f"{folder}/{name}", content, mode=0o600)

    def seed_path(self) -> str:
        """Return the folder, which the definition mounts, with or without files in it."""
        return self._beside_the_pool(SEEDS)

    def _beside_the_pool(self, folder: str) -> str:
        volumes = pool_directory(open_pool(self.host.qemu, self.pool))
        return f"{posixpath.dirname(volumes)}/{folder}/{self.name}"

    def wipe_seed(self) -> None:
        """Overwrite and delete the files; the empty folder stays."""
        seeds.shred(self.host.shell, self.seed_path())

    def remove_seed(self) -> None:
        """Overwrite and delete the files, and the folder."""
        folder = self.seed_path()
        try:
            seeds.shred(self.host.shell, folder)
        finally:
            self.host.shell.remove_tree(folder)

    def start(self) -> None:
        """Start the container unless it runs.

        libvirt_lxc asks for a free loop device and then attaches to it, and gives up when another
        took it in between. Ours start one after the other (a tenth of a second each); for whoever
        else uses loop devices there is another try.
        """
        if self.is_active:
            return
        import tenacity  # only who starts a container needs it

        with self.host.starting:
            for attempt in tenacity.Retrying(
                retry=tenacity.retry_if_exception(_lost_the_race_for_a_loop_device),
                stop=tenacity.stop_after_attempt(5),
                wait=tenacity.wait_random(0.05, 0.3),
                reraise=True,
            ):
                with attempt:
                    self.domain.create()

    def kill(self) -> None:
        """Kill the first process, with which the kernel ends all others at once, and then pull the plug.

        libvirt itself asks every process to end, and kills them only after a second and a half.
        """
        with suppress(libvirt.libvirtError):  # off, or gone, or the way there broke: what follows tells
            self.domain.sendProcessSignal(1, libvirt.VIR_DOMAIN_PROCESS_SIGNAL_KILL)
        super().kill()

    def _set_memory(self, kib: int, scope: int) -> None:
        super()._set_memory(kib, scope)
        self.domain.setMemoryParameters({"hard_limit": kib}, scope)

    def _resize_live(self, live: DomainView, wanted: MachineDefinition) -> None:
        """Bring memory and the share of the host's processors to what is wanted at once."""
        super()._resize_live(live, wanted)
        if live.vcpus != wanted.vcpus:
            quota = {"vcpu_quota": wanted.vcpus * CPU_PERIOD}
            self.domain.setSchedulerParametersFlags(quota, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    @classmethod
    def remove_traces(cls, host: HostSession, names: Sequence[str], mark: Mark) -> None:
        """Remove the groups that containers made where libvirt made none (image/files: container-init).

        Also those that libvirt made for them, where libvirt was killed with the container and never removed them:
        the process in their name is gone. (libvirt shortens names to 20 characters: another machine may share
        them.)
        """
        if not names:
            return
        own = [f"/sys/fs/cgroup/*/azlocal-{mark.uuid('domain', name)}" for name in names]
        shortened = [f"/sys/fs/cgroup/*/machine*/lxc-*-{name[:20]}.libvirt-lxc" for name in names]
        find = ["find", "/sys/fs/cgroup", "-mindepth", "3", "(", *_any_path(shortened), ")", "-prune", "-print"]
        listed = host.shell.run(find, timeout=60, check=False)
        for group in listed.stdout.splitlines():
            controller = group.rpartition("/")[2].split("-")[1]
            if host.shell.run(["test", "-d", f"/proc/{controller}"], check=False).exit_code != 0:
                own.append(group)
        either = _any_path([path for group in own for path in (group, f"{group}/*")])
        argv = ["find", "/sys/fs/cgroup", "-mindepth", "2", "-depth", "-type", "d", "(", *either, ")", "-delete"]
        host.shell.run(argv, timeout=60, check=False)


def _lost_the_race_for_a_loop_device(error: BaseException) -> bool:
    # The reason only exists as text: the code is that of any internal error.
    return (
        isinstance(error, libvirt.libvirtError)
        and error.get_error_code() == libvirt.VIR_ERR_INTERNAL_ERROR
        and "to loop device: Device or resource busy" in str(error)
    )


def _any_path(patterns: Iterable[str]) -> list[str]:
    """Return find's expression for a path that one of the patterns matches."""
    return [word for pattern in patterns for word in ("-o", "-path", pattern)][1:]
