"""One machine on one host: its disk, its seed, its domain. Each step can be repeated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import libvirt

from infra.kvm.connection import HostSession
from infra.kvm.domain_xml import CPU_PERIOD, DomainView, MachineDefinition, MachineType, from_xml, to_xml
from infra.kvm.errors import HostError, Interrupted, NotOurs, is_connection_lost, is_missing
from infra.kvm.ownership import Mark
from infra.kvm.seeds import remove_seed
from infra.kvm.storage import (
    Volume,
    clone_volume,
    create_volume,
    find_pool,
    find_volume,
    open_pool,
    remove_volume,
    usable_pool,
)

_SHUTDOWN_SECONDS: Final = 60
_DEATH_SECONDS: Final = 60
_KILL_PAUSE: Final = 0.1
_SHUTDOWN_PAUSE: Final = 0.1
_GIB: Final = 1 << 30


def hypervisor(session: HostSession, machine_type: MachineType) -> libvirt.virConnect:
    """Return the connection that runs machines of this type."""
    return session.lxc if machine_type == "container" else session.qemu


def find_domain(session: HostSession, machine_type: MachineType, name: str) -> libvirt.virDomain | None:
    """Return the domain, None when libvirt says there is none."""
    try:
        return hypervisor(session, machine_type).lookupByName(name)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise


def owned_domain(
    session: HostSession, machine_type: MachineType, name: str, mark: Mark
) -> libvirt.virDomain | None:
    """Return the domain if it is ours.

    Raises:
        NotOurs: one of that name stands and doesn't carry our mark.
    """
    domain = find_domain(session, machine_type, name)
    if domain is not None and not mark.owns("domain", name, domain.UUIDString()):
        raise NotOurs(mark.refusal("domain", name, session.connection))
    return domain


def owned_domains(session: HostSession, mark: Mark, flags: int = 0) -> Iterator[libvirt.virDomain]:
    """Yield every domain of a host that is ours; somebody else's may be gone while we look.

    Args:
        session: The host.
        mark: Ours.
        flags: Of virConnectListAllDomains, for some of them only.
    """
    for driver in (session.qemu, session.lxc):
        for domain in driver.listAllDomains(flags):
            # Asked of the handle alone, for that reason.
            if mark.owns("domain", domain.name(), domain.UUIDString()):
                yield domain


def live_view(domain: libvirt.virDomain) -> DomainView:
    """Return what runs, or what would."""
    return from_xml(domain.XMLDesc())


def persistent_view(domain: libvirt.virDomain) -> DomainView:
    """Return what the next start would run."""
    return from_xml(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def started_at(session: HostSession, domain: libvirt.virDomain, machine_type: MachineType) -> int:
    """Return when a machine was last started, in seconds since 1970 by its host's clock; 0 where it is off.

    libvirt doesn't tell; it writes the file of the process's number when it starts one.
    """
    if not domain.isActive():
        return 0
    driver = "lxc" if machine_type == "container" else "qemu"
    asked = ["stat", "--format=%Y", "--", f"/run/libvirt/{driver}/{domain.name()}.pid"]
    told = session.shell.run(asked, check=False)
    return int(told.stdout) if told.exit_code == 0 else 0


# -- disk ------------------------------------------------------------------------------------------


def disk_volume_name(machine: str, machine_type: MachineType) -> str:
    """Return the name of a machine's disk in the pool."""
    return f"{machine}.raw" if machine_type == "container" else f"{machine}.qcow2"


def create_disk(
    session: HostSession, pool_name: str, machine: str, machine_type: MachineType, image: str, gib: int
) -> str:
    """Make the disk as a copy-on-write copy of the image; return its path on the host."""
    pool = open_pool(session.qemu, pool_name)
    original = find_volume(pool, image)
    if original is None:
        raise HostError(
            f"{session.connection}: image volume {image!r} is not in pool {pool_name!r}; "
            "`pulumi refresh` and then `pulumi up` upload it again"
        )
    least = -(-_capacity(original) // _GIB)
    if gib < least:
        raise HostError(
            f"{machine}: diskGiB is {gib}, but the node image needs {least}; raise diskGiB to that or more"
        )
    name = disk_volume_name(machine, machine_type)
    if machine_type == "container":
        volume = clone_volume(pool, Volume(name, gib * _GIB, "raw"), image)
        if gib > least:
            _grow_file_system(session, volume.path())
    else:
        volume = create_volume(pool, Volume(name, gib * _GIB, "qcow2", backing=original.path()))
    path: str = volume.path()
    return path


def disk_path(session: HostSession, pool_name: str, machine: str, machine_type: MachineType) -> str:
    """Return where the machine's disk lies on the host.

    Raises:
        HostError: the disk is gone.
    """
    path: str = _disk(session, pool_name, machine, machine_type).path()
    return path


def grow_disk(session: HostSession, pool_name: str, machine: str, machine_type: MachineType, gib: int) -> None:
    """Enlarge the disk of a stopped machine; a VM's root file system follows at its next boot."""
    volume = _disk(session, pool_name, machine, machine_type)
    if _capacity(volume) < gib * _GIB:
        volume.resize(gib * _GIB)
    if machine_type == "container":
        _grow_file_system(session, volume.path())


def disk_gib(session: HostSession, pool_name: str, machine: str, machine_type: MachineType) -> int | None:
    """Return the disk's size in GiB, None when it can't be seen: gone, or its pool isn't started."""
    pool = find_pool(session.qemu, pool_name)
    if pool is None or not pool.isActive():
        return None
    volume = find_volume(pool, disk_volume_name(machine, machine_type))
    return None if volume is None else _capacity(volume) // _GIB


def is_disk_gone(session: HostSession, pool_name: str, machine: str, machine_type: MachineType) -> bool:
    """Return whether the host says that there is no disk; a pool that isn't started says nothing."""
    pool = find_pool(session.qemu, pool_name)
    if pool is None:
        return True
    return bool(pool.isActive()) and find_volume(pool, disk_volume_name(machine, machine_type)) is None


def _disk(session: HostSession, pool_name: str, machine: str, machine_type: MachineType) -> libvirt.virStorageVol:
    volume = find_volume(open_pool(session.qemu, pool_name), disk_volume_name(machine, machine_type))
    if volume is None:
        raise HostError(
            f"{machine}: its disk is gone from pool {pool_name!r} on {session.connection}; "
            f"`pulumi up --replace` of this machine makes it anew"
        )
    return volume


def _capacity(volume: libvirt.virStorageVol) -> int:
    capacity: int = volume.info()[1]
    return capacity


def _grow_file_system(session: HostSession, path: str) -> None:
    # The container was stopped or never started; a journal left by a stop is replayed first.
    session.shell.run(["e2fsck", "-f", "-p", path], timeout=300, check=False)
    session.shell.run(["resize2fs", path], timeout=300)


# -- domain ----------------------------------------------------------------------------------------


def define(session: HostSession, machine: MachineDefinition) -> libvirt.virDomain:
    """Define the domain, or bring its definition to `machine`; what runs is not touched."""
    domain = hypervisor(session, machine.machine_type).defineXML(to_xml(machine))
    domain.setAutostart(True)
    return domain


def start(session: HostSession, domain: libvirt.virDomain) -> None:
    """Start the domain unless it runs.

    libvirt_lxc asks for a free loop device and then attaches to it, and gives up when another
    took it in between. Ours start one after the other (a tenth of a second each); for whoever
    else uses loop devices there is another try.
    """
    if domain.isActive():
        return
    if domain.connect().getType() != "LXC":
        domain.create()
        return
    import tenacity  # only who starts a container needs it

    with session.starting:
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(_lost_the_race_for_a_loop_device),
            stop=tenacity.stop_after_attempt(5),
            wait=tenacity.wait_random(0.05, 0.3),
            reraise=True,
        ):
            with attempt:
                domain.create()


def _lost_the_race_for_a_loop_device(error: BaseException) -> bool:
    # The reason only exists as text: the code is that of any internal error.
    return (
        isinstance(error, libvirt.libvirtError)
        and error.get_error_code() == libvirt.VIR_ERR_INTERNAL_ERROR
        and "to loop device: Device or resource busy" in str(error)
    )


def stop(domain: libvirt.virDomain, cancelled: threading.Event, status: Callable[[str], None]) -> None:
    """Shut the domain down in order; pull the plug when it doesn't end within a minute.

    Raises:
        Interrupted: the run was cancelled while waiting; the domain goes on shutting down.
    """
    deadline = time.monotonic() + _SHUTDOWN_SECONDS
    if domain.isActive():
        try:
            domain.shutdown()
        except libvirt.libvirtError:
            deadline = 0.0  # nothing in it listens (no ACPI yet, no init): there is nothing to wait for
    while domain.isActive() and time.monotonic() < deadline:
        status("waiting for the operating system to shut down")
        if cancelled.wait(_SHUTDOWN_PAUSE):
            raise Interrupted("stopped on request while the machine was shutting down")
    kill(domain)


_FOR_A_MOMENT: Final = frozenset({libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_SYSTEM_ERROR})


def kill(domain: libvirt.virDomain) -> None:
    """Pull the plug if the domain runs.

    libvirt gives a container's processes a few seconds to die and then calls it an internal error. Those of a
    Kubernetes node take longer on a busy host, so it is asked again: what is dead by then is what was wanted. The
    same where a control group of the container's own goes while libvirt reads it, which it calls a system error.
    """
    _kill_init(domain)
    deadline = time.monotonic() + _DEATH_SECONDS
    while True:
        try:
            domain.destroy()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID or is_missing(error):
                return
            is_patient = error.get_error_code() in _FOR_A_MOMENT and not is_connection_lost(error)
            if not is_patient or time.monotonic() >= deadline:
                raise
        else:
            return
        time.sleep(_KILL_PAUSE)


def _kill_init(domain: libvirt.virDomain) -> None:
    """Kill a container's first process, with which the kernel ends all others at once.

    libvirt itself asks every process to end, and kills them only after a second and a half.
    """
    if domain.connect().getType() == "LXC":
        with suppress(libvirt.libvirtError):  # off, or gone, or the way there broke: what follows tells
            domain.sendProcessSignal(1, libvirt.VIR_DOMAIN_PROCESS_SIGNAL_KILL)


def set_memory(domain: libvirt.virDomain, mib: int) -> None:
    """Set what a running machine may use, up to its ceiling, and what it starts with."""
    scopes = [libvirt.VIR_DOMAIN_AFFECT_CONFIG] + [libvirt.VIR_DOMAIN_AFFECT_LIVE] * bool(domain.isActive())
    for scope in scopes:  # one by one: setMemoryParameters takes no two
        domain.setMemoryFlags(mib * 1024, scope)
        if domain.connect().getType() == "LXC":
            domain.setMemoryParameters({"hard_limit": mib * 1024}, scope)


def set_container_cpus(domain: libvirt.virDomain, vcpus: int) -> None:
    """Change a running container's share of the host's processors at once."""
    if domain.isActive():
        domain.setSchedulerParametersFlags({"vcpu_quota": vcpus * CPU_PERIOD}, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def remove_domain(domain: libvirt.virDomain) -> None:
    """Pull the plug and forget the domain, with its NVRAM and TPM state."""
    kill(domain)
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 0)
    try:
        if domain.connect().getType() == "LXC":
            domain.undefine()  # the LXC driver knows no flags
        else:
            domain.undefineFlags(flags)
    except libvirt.libvirtError as error:
        if not is_missing(error):
            raise


def remove_machine(session: HostSession, pool_name: str, name: str, machine_type: MachineType, mark: Mark) -> None:
    """Remove domain, control groups, disk and seed, whatever of them is there.

    Raises:
        NotOurs: a domain of that name belongs to somebody else; nothing is removed.
    """
    domain = owned_domain(session, machine_type, name, mark)
    if domain is not None:
        remove_domain(domain)
    if machine_type == "container":
        # Whoever removed the domain by hand left them.
        remove_control_groups(session, [name], mark)
    pool = usable_pool(session.qemu, pool_name)
    if pool is None:
        return  # disk and seed lie in the host's storage, and go when that goes
    remove_seed(session, pool_name, name, machine_type)
    remove_volume(pool, disk_volume_name(name, machine_type))


def remove_control_groups(session: HostSession, names: Sequence[str], mark: Mark) -> None:
    """Remove the groups that containers made where libvirt made none (image/files: container-init).

    Also those that libvirt made for them, where libvirt was killed with the container and never removed them: the
    process in their name is gone. (libvirt shortens names to 20 characters: another machine may share them.)

    Args:
        session: The host.
        names: Machines that are no more, at least one.
        mark: Whose they were.
    """
    own = [f"/sys/fs/cgroup/*/azlocal-{mark.uuid('domain', name)}" for name in names]
    shortened = [f"/sys/fs/cgroup/*/machine*/lxc-*-{name[:20]}.libvirt-lxc" for name in names]
    found = ["find", "/sys/fs/cgroup", "-mindepth", "3", "(", *_any_path(shortened), ")", "-prune", "-print"]
    listed = session.shell.run(found, timeout=60, check=False)
    for group in listed.stdout.splitlines():
        controller = group.rpartition("/")[2].split("-")[1]
        if session.shell.run(["test", "-d", f"/proc/{controller}"], check=False).exit_code != 0:
            own.append(group)
    either = _any_path([one for path in own for one in (path, f"{path}/*")])
    argv = ["find", "/sys/fs/cgroup", "-mindepth", "2", "-depth", "-type", "d", "(", *either, ")", "-delete"]
    session.shell.run(argv, timeout=60, check=False)


def _any_path(patterns: Iterable[str]) -> list[str]:
    """Return find's expression for a path that one of the patterns matches."""
    return [word for pattern in patterns for word in ("-o", "-path", pattern)][1:]
