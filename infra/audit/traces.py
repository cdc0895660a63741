"""What a host has, as lines to compare: what came with an instance must go with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.model.local_libvirt import LXC, QEMU
from infra.ssh import Shell

_FOLDERS = ("/var/lib/azlocal", "/var/lib/libvirt", "/etc", "/run/netns", "/root")
_STAYS = (
    r"file /(etc|var/lib)/libvirt/.*/",  # libvirt's own empty folders
    r"file /var/lib/libvirt/dnsmasq/virbr[0-9]+\.(status|macs)",
    r"table ip6? (filter|nat|mangle)",  # libvirt's firewall chains, emptied
    r"group [^/]*/machine",  # libvirt's own, emptied
    # A login's own: what our shells are made of (infra/ssh/command_loop.py), some of it a moment after its end.
    r"process (sshd|sftp-server|virt-ssh-helper|sh|bash|cat|head|find|ps)",
)


def traces(shell: Shell) -> set[str]:
    """Return a line for each domain, network, pool, link, mount, process, group, table and file of a host.

    Args:
        shell: The host's, as root.

    Raises:
        ShellError: The host doesn't answer, or a command fails.
    """
    return {line for line in _all(shell) if not any(re.fullmatch(pattern, line) for pattern in _STAYS)}


def _all(shell: Shell) -> Iterator[str]:
    for uri, command in (
        (QEMU, "list"),
        (LXC, "list"),
        (QEMU, "net-list"),
        (QEMU, "pool-list"),
    ):
        names = shell.run(["virsh", "-q", "-c", uri, command, "--all", "--name"]).stdout.split()
        yield from (f"{uri} {command} {name}" for name in names)
    for line in shell.run(["ip", "-brief", "link"]).stdout.splitlines():
        yield f"link {line.split()[0].partition('@')[0]}"  # the other end's number changes with the power
    for line in shell.run(["cat", "/proc/1/mountinfo"]).stdout.splitlines():
        yield f"mount {line.split()[4]}"
    for name in shell.run(["ps", "-e", "--format", "comm="]).stdout.split():
        yield f"process {name}"
    for line in shell.run(
        ["find", "/sys/fs/cgroup", "-mindepth", "2", "-type", "d", "-printf", "%P\n"]
    ).stdout.split():
        yield f"group {line}"
    for line in shell.run(["nft", "list", "tables"], check=False).stdout.splitlines():
        yield line
    search = ["find", *_FOLDERS, "(", "-type", "d", "-printf", "%p/\n", ")", "-o", "-print"]
    yield from (f"file {path}" for path in shell.run(search, check=False).stdout.splitlines())
