"""Which run of its operating system a host is in."""

from __future__ import annotations

from infra.ssh import Shell


def boot_id(shell: Shell) -> str:
    """Return what names the host's present run: another one after each boot (random(4))."""
    return shell.read_file("/proc/sys/kernel/random/boot_id").decode("ascii").strip()
