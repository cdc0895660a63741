"""A running VM goes from one host to another with its memory and its disk, through SSH connections of ours.

libvirt's managed direct migration, driven from here: the hosts need no way to each other, and both QEMUs only see
their own host's loopback (https://libvirt.org/migration.html).
"""

from __future__ import annotations

import posixpath
import random
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import libvirt

from infra.errors import Interrupted
from infra.kvm.domain_xml import drives_of, relocated
from infra.kvm.errors import HostError
from infra.kvm.storage import COMPLETE, Volume, create_volume, find_volume, open_pool
from infra.kvm.vm import Vm
from infra.model.work import Work
from infra.ssh import Shell, ShellError, port_tunnel

_FLAGS: Final = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    # The guest's processors are slowed down where it writes to its memory faster than that is copied.
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
)
# Above Linux's ephemeral ports (net.ipv4.ip_local_port_range) and libvirt's own (migration_port_min, _max).
_PORTS: Final = range(61000, 65000)
_TURN_SECONDS: Final = 0.5
_MIB: Final = 1 << 20


@dataclass(frozen=True)
class _Room:
    """What is copied into.

    Attributes:
        path: The disk's.
        data: The data volume's; None where the VM has none.
        has_image: Whether the disk lies on the same image as the one that is copied.
    """

    path: str
    data: str | None
    has_image: bool


def migrate(
    source: Vm,
    target: Vm,
    record: Mapping[str, Any],
    work: Work,
) -> None:
    """Bring a running VM to another host. The old host keeps its definition and disk, shut off, to be removed.

    Args:
        source: the VM on the host that it runs on.
        target: the VM on the host that it comes to, which has of it what an interrupted migration left at most.
        record: what is recorded of it there.
        work: is told how far it is; where it is cancelled, the VM stays where it is.

    Raises:
        HostError: it can't be done, and the VM runs on where it was, with nothing left of it on the other host.
        Interrupted: the run was cancelled; likewise.
    """
    name, there, here = source.name, source.host.connection, target.host.connection
    try:
        room = _make_room(target, source.domain)
        _carry(source, target, room, record, work)
    except Exception as error:
        outcome = _after_failure(source, target)
        if work.cancelled.is_set():
            raise Interrupted(f"stopped on request; {name} {outcome}; the next `pulumi up` migrates it") from error
        raise HostError(
            f"{name} didn't migrate from {there} to {here}: {error}. It {outcome}. "
            "Fix that and run `pulumi up` again, with `drain: live` as it is: without that it would be replaced "
            "there, without its data, unless azlocal:placement.pins has it on its old host"
        ) from error
    source.retire(here)


def describe_progress(stats: Mapping[str, Any]) -> str:
    """Say from libvirt's job statistics what is left to be copied; the disk goes first, then memory."""
    for what in ("disk", "memory"):
        left, total = stats.get(f"{what}_remaining", 0), stats.get(f"{what}_total", 0)
        if left and total:
            return f"migrating: {what} {100 * (total - left) // total} %, {-(-left // _MIB)} MiB left"
    return "migrating"


def choose_ports(taken: Collection[int]) -> tuple[int, int]:
    """Return two TCP ports that nobody listens on, for memory and for the disk.

    Drawn, so that two runs on the same hosts don't choose the same.
    """
    memory, disk = random.sample([port for port in _PORTS if port not in taken], 2)
    return memory, disk


def _make_room(target: Vm, domain: libvirt.virDomain) -> _Room:
    """Make the disks that are copied into. Where the host has the machine's image, that needn't be copied."""
    drives = drives_of(domain.XMLDesc())
    pool = open_pool(target.host.qemu, target.pool)
    image = posixpath.basename(drives.image or "")
    complete = image and find_volume(pool, image + COMPLETE)
    base = find_volume(pool, image) if complete else None
    capacity = domain.blockInfo(drives.disk)[0]
    backing = base.path() if base else None
    volume = create_volume(pool, Volume(target.disk_name, capacity, "qcow2", backing=backing))
    data = None
    if drives.data:
        empty = Volume(target.data_name, domain.blockInfo(drives.data)[0], "qcow2")
        data = create_volume(pool, empty).path()
    return _Room(volume.path(), data, base is not None)


def _carry(
    source: Vm,
    target: Vm,
    room: _Room,
    record: Mapping[str, Any],
    work: Work,
) -> None:
    domain, shells = source.domain, (source.host.shell, target.host.shell)
    ports = choose_ports(set().union(*map(_listening, shells)))
    xml_flags = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
    runs, starts = (
        relocated(domain.XMLDesc(flags), room.path, room.data, record)
        for flags in (xml_flags, xml_flags | libvirt.VIR_DOMAIN_XML_INACTIVE)
    )
    parameters = {
        libvirt.VIR_MIGRATE_PARAM_URI: f"tcp://127.0.0.1:{ports[0]}",
        libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS: "127.0.0.1",
        libvirt.VIR_MIGRATE_PARAM_DISKS_PORT: ports[1],
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: runs,
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: starts,
    }
    flags = _FLAGS | (
        libvirt.VIR_MIGRATE_NON_SHARED_INC if room.has_image else libvirt.VIR_MIGRATE_NON_SHARED_DISK
    )
    with port_tunnel(*shells, {port: port for port in ports}), ThreadPoolExecutor(1) as thread:
        job = thread.submit(domain.migrate3, target.host.qemu, parameters, flags)
        _watch(domain, job, work)
        job.result().setAutostart(True)


def _watch(domain: libvirt.virDomain, job: Future[libvirt.virDomain], work: Work) -> None:
    """Tell how far the migration is until it ends; end it when the run is cancelled."""
    while not wait([job], timeout=_TURN_SECONDS).done:
        # Between its phases a migration has no job to tell of or to abort; then the next turn does.
        with suppress(libvirt.libvirtError):
            if work.cancelled.is_set():
                domain.abortJob()
            else:
                work.status(describe_progress(domain.jobStats()))


def _after_failure(source: Vm, target: Vm) -> str:
    """Remove what a failed migration left on the new host; return what became of the machine."""
    try:
        state, _ = source.domain.state()
    except libvirt.libvirtError as error:
        return f"may run on either host: the old one doesn't answer ({error})"
    if state != libvirt.VIR_DOMAIN_RUNNING:
        return "doesn't run where it was: see with `virsh list --all` on both hosts which of them has it"
    try:
        target.remove()
        # libvirt makes it for whoever comes, and leaves it when nobody does.
        firmware = drives_of(source.domain.XMLDesc()).firmware
        if firmware:
            target.host.shell.remove_tree(firmware)
    except (libvirt.libvirtError, HostError, ShellError) as error:
        return f"runs on where it was; what came to the other host is removed by the next try ({error})"
    return "runs on where it was"


def _listening(shell: Shell) -> set[int]:
    """Return the TCP ports that programs on a host listen on."""
    listed = shell.run(["ss", "--no-header", "--listening", "--tcp", "--numeric"]).stdout
    return {int(line.split()[3].rpartition(":")[2]) for line in listed.splitlines()}
