"""A machine's cloud-init seed on its host: there for the first boot, and wiped after it, since it holds keys.

However a seed goes, it is overwritten before: also after a boot that failed, and one that a killed run left. More
can't be done from here; a file system that copies on write, and a flash disk, may keep the old blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Final

import libvirt

from infra.kvm.errors import is_missing
from infra.ssh import Shell

SEED_VOLUME: Final = "-seed.iso"
"""Ends the name of the volume that is a VM's seed."""


def shred(shell: Shell, path: str) -> None:
    """Overwrite and delete a file, or the files below a folder; nothing there is fine."""
    if shell.exists(path):
        shell.run(["find", path, "-type", "f", "-exec", "shred", "--remove", "{}", "+"], timeout=60)


def wipe(volume: libvirt.virStorageVol) -> None:
    """Overwrite and delete a VM's seed, also where it can't be overwritten; one that went meanwhile is fine."""
    try:
        try:
            volume.wipe()
        finally:
            volume.delete()
    except libvirt.libvirtError as error:
        if not is_missing(error):
            raise


def iso_of(files: Mapping[str, bytes]) -> bytes:
    """Return a NoCloud disk: cloud-init looks for the volume label `cidata`."""
    import pycdlib  # of all who import this module, only who makes a VM needs it

    disk = pycdlib.PyCdlib()
    disk.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, content) in enumerate(sorted(files.items())):
        disk.add_fp(BytesIO(content), len(content), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}")
    out = BytesIO()
    disk.write_fp(out)
    disk.close()
    return out.getvalue()
