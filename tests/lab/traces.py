"""What there is on a host of a lab, as lines to compare: what came with an instance has to go with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.lab.host import LabHost

_FOLDERS = ("/var/lib/azlocal", "/var/lib/libvirt", "/etc", "/run/netns", "/root")
_STAYS = (
    r"file /(etc|var/lib)/libvirt/.*/",  # libvirt's own empty folders
    r"file /var/lib/libvirt/dnsmasq/virbr[0-9]+\.(status|macs)",
    r"table ip6? (filter|nat|mangle)",  # libvirt's firewall chains, emptied
    r"group [^/]*/machine",  # libvirt's own, emptied
    r"process (sshd|sftp-server|virt-ssh-helper|sh|find|ps|bash)",
)


def traces(host: LabHost) -> set[str]:
    """Return a line for each domain, network, pool, link, mount, process, group, table and file of a host."""
    return {line for line in _all(host) if not any(re.fullmatch(pattern, line) for pattern in _STAYS)}


def _all(host: LabHost) -> Iterator[str]:
    for uri, command in (
        ("qemu:///system", "list"),
        ("lxc:///system", "list"),
        ("qemu:///system", "net-list"),
        ("qemu:///system", "pool-list"),
    ):
        names = host.run("virsh", "-q", "-c", uri, command, "--all", "--name").stdout.split()
        yield from (f"{uri} {command} {name}" for name in names)
    for line in host.run("ip", "-brief", "link").stdout.splitlines():
        yield f"link {line.split()[0].partition('@')[0]}"  # the other end's number changes with the power
    for line in host.run("cat", "/proc/1/mountinfo").stdout.splitlines():
        yield f"mount {line.split()[4]}"
    for name in host.run("ps", "-e", "--format", "comm=").stdout.split():
        yield f"process {name}"
    for line in host.run(
        "find", "/sys/fs/cgroup", "-mindepth", "2", "-type", "d", "-printf", "%P\n"
    ).stdout.split():
        yield f"group {line}"
    for line in host.run("nft", "list", "tables", check=False).stdout.splitlines():
        yield line
    found = host.run("find", *_FOLDERS, "(", "-type", "d", "-printf", "%p/\n", ")", "-o", "-print", check=False)
    yield from (f"file {path}" for path in found.stdout.splitlines())
