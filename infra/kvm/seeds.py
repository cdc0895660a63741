"""A machine's cloud-init seed on its host: there for the first boot, and wiped after it, since it holds keys.

However a seed goes, it is overwritten before: also after a boot that failed, and one that a killed run left. More
can't be done from here; a file system that copies on write, and a flash disk, may keep the old blocks.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from io import BytesIO
from typing import Final

import libvirt

from infra.kvm.connection import HostSession
from infra.kvm.domain_xml import MachineType, empty_seed_drive
from infra.kvm.errors import is_missing
from infra.kvm.storage import Volume, create_volume, find_volume, open_pool, pool_directory, upload_bytes
from infra.ssh import Shell

SEED_VOLUME: Final = "-seed.iso"
"""Ends the name of the volume that is a VM's seed."""


def place_seed(
    session: HostSession, pool_name: str, machine: str, machine_type: MachineType, files: Mapping[str, bytes]
) -> None:
    """Put the cloud-init seed where the machine will find it."""
    if machine_type == "container":
        directory = _folder(session, pool_name, machine)
        session.shell.make_directory(directory, mode=0o700)
        for name, content in files.items():
            session.shell.write_file(f"{directory}/{name}", content, mode=0o600)
        return
    iso = _iso(files)
    volume = create_volume(open_pool(session.qemu, pool_name), Volume(_volume_name(machine), len(iso), "raw"))
    upload_bytes(session.qemu, volume, iso)


def seed_path(session: HostSession, pool_name: str, machine: str, machine_type: MachineType) -> str | None:
    """Return where the seed lies on the host: a container's folder; a VM's ISO, None once that is wiped."""
    if machine_type == "container":
        return _folder(session, pool_name, machine)
    volume = find_volume(open_pool(session.qemu, pool_name), _volume_name(machine))
    return None if volume is None else volume.path()


def wipe_seed(session: HostSession, pool_name: str, domain: libvirt.virDomain, machine_type: MachineType) -> None:
    """Overwrite and delete what the machine has read, keys and tokens; nothing to do the second time."""
    machine = domain.name()
    if machine_type == "container":
        # The empty folder stays: the container's definition mounts it.
        shred(session.shell, _folder(session, pool_name, machine))
        return
    volume = find_volume(open_pool(session.qemu, pool_name), _volume_name(machine))
    if volume is None:
        return
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    if domain.isActive():
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    domain.updateDeviceFlags(empty_seed_drive(), flags | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE)
    _wipe(volume)


def remove_seed(session: HostSession, pool_name: str, machine: str, machine_type: MachineType) -> None:
    """Overwrite and delete the seed if it is there; one that can't be overwritten goes, too, and that is told.

    Raises:
        CommandError: a container's couldn't be overwritten; it is deleted.
        libvirtError: a VM's couldn't be overwritten; it is deleted.
    """
    if machine_type == "container":
        folder = _folder(session, pool_name, machine)
        try:
            shred(session.shell, folder)
        finally:
            session.shell.remove_tree(folder)
        return
    volume = find_volume(open_pool(session.qemu, pool_name), _volume_name(machine))
    if volume is not None:
        _wipe(volume)


def shred(shell: Shell, path: str) -> None:
    """Overwrite and delete a file, or the files below a folder; nothing there is fine."""
    if shell.exists(path):
        shell.run(["find", path, "-type", "f", "-exec", "shred", "--remove", "{}", "+"], timeout=60)


def _wipe(volume: libvirt.virStorageVol) -> None:
    """Overwrite and delete a volume."""
    try:
        try:
            volume.wipe()
        finally:
            volume.delete()
    except libvirt.libvirtError as error:
        if not is_missing(error):
            raise


def _folder(session: HostSession, pool_name: str, machine: str) -> str:
    volumes = pool_directory(open_pool(session.qemu, pool_name))
    return f"{posixpath.dirname(volumes)}/seeds/{machine}"


def _volume_name(machine: str) -> str:
    return f"{machine}{SEED_VOLUME}"


def _iso(files: Mapping[str, bytes]) -> bytes:
    """Return a NoCloud disk: cloud-init looks for the volume label `cidata`."""
    import pycdlib  # of all who import this module, only who makes a VM needs it

    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, content) in enumerate(sorted(files.items())):
        iso.add_fp(BytesIO(content), len(content), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}")
    out = BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
