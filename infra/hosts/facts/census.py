"""All that stands on a host, whoever made it: the objects of libvirt, the kernel and the folders around them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from infra.hosts.facts.fact import Fact
from infra.model.local_libvirt import LXC, QEMU

DefinitionKind: TypeAlias = Literal["domain", "network", "pool"]

_HEADING: Final = ":"
_LISTS: Final = ("networks", "pools", "uuids", "secrets")
_OWNER: Final = re.compile(r"<azlocal:owner [^>]*\binstance=['\"]([^'\"]*)['\"]")
_NAME: Final = re.compile(r"^ *<name>([^<]*)</name>")
_UUID: Final = re.compile(r"^ *<uuid>([^<]*)</uuid>")
_BRIDGE: Final = re.compile(r"<bridge [^>]*\bname=['\"]([^'\"]*)['\"]")
_DEFINITIONS: Final[dict[str, DefinitionKind]] = {
    "/etc/libvirt/qemu/networks/": "network",
    "/etc/libvirt/storage/": "pool",
    "/etc/libvirt/qemu/": "domain",
    "/etc/libvirt/lxc/": "domain",
}
_NO_DRIVER: Final = ("no connection driver available", "virtlxcd-sock': No such file")
"""What virsh says where the driver for containers isn't installed."""


@dataclass(frozen=True, slots=True)
class LibvirtObjects:
    """What a driver of libvirt has.

    Attributes:
        domains: UUID by name.
        networks: Their names.
        pools: Their names.
        secrets: Their UUIDs.
        uuids: Of networks and pools, in no order that names have: virsh lists them apart.
    """

    domains: dict[str, str]
    networks: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    uuids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Definition:
    """What a file of libvirt's says of an object that outlives a restart.

    Attributes:
        kind: Of the object.
        name: The object's.
        uuid: The object's.
        instance: The instance that a domain's mark names; empty without a mark.
        bridge: A network's interface.
    """

    kind: DefinitionKind
    name: str = ""
    uuid: str = ""
    instance: str = ""
    bridge: str = ""


@dataclass(frozen=True, slots=True)
class LoopDevice:
    """A loop device of the kernel, in whichever mount namespace its file is.

    Attributes:
        name: `/dev/loop7`.
        file: The file's path in its own mount namespace.
        inode: The file's.
        is_deleted: Whether the file has no name any more.
    """

    name: str
    file: str
    inode: int
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process: its number, its program's name, its command line."""

    id: int
    program: str
    command: str


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A mount: where, and of what."""

    target: str
    source: str


def parse_libvirt(text: str) -> LibvirtObjects:
    """Read the lists that one call of virsh prints, each after its heading."""
    lists = lists_of(text, "domains", _LISTS)
    pairs = [line.split(maxsplit=1) for line in lists["domains"]]
    return LibvirtObjects(
        {name: uuid for uuid, name in pairs},
        tuple(lists["networks"]),
        tuple(lists["pools"]),
        tuple(line.split()[0] for line in lists["secrets"]),
        frozenset(lists["uuids"]),
    )


def lists_of(text: str, first: str, others: Iterable[str]) -> dict[str, list[str]]:
    """Return the lines of each list that one call of virsh prints, by the headings of `section`.

    Args:
        text: What it printed.
        first: How the list before any heading is called.
        others: The headings.

    Raises:
        KeyError: There is a heading that isn't among them.
    """
    lists: dict[str, list[str]] = {name: [] for name in (first, *others)}
    lines = lists[first]
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith(_HEADING):
            lines = lists[line.removeprefix(_HEADING)]
        else:
            lines.append(line)
    return lists


def parse_containers(text: str) -> LibvirtObjects:
    """Read the list of containers; where the driver isn't installed, there are none."""
    return parse_libvirt(text) if has_driver(text) else LibvirtObjects({})


def has_driver(text: str) -> bool:
    """Return whether the driver that virsh was to ask is installed, by what virsh printed.

    Raises:
        ValueError: It is, and virsh says that something else is wrong.
    """
    if any(words in text for words in _NO_DRIVER):
        return False
    if "error:" in text:
        raise ValueError(text.strip().splitlines()[0])
    return True


def parse_definitions(text: str) -> tuple[Definition, ...]:
    """Read the lines of libvirt's files, each after its file's path and a colon."""
    by_file: dict[str, Definition] = {}
    for line in text.splitlines():
        path, _, content = line.partition(":")
        kind = next((kind for folder, kind in _DEFINITIONS.items() if path.startswith(folder)), None)
        if kind is None:
            continue
        known = by_file.get(path, Definition(kind))
        for field, pattern in (("name", _NAME), ("uuid", _UUID), ("instance", _OWNER), ("bridge", _BRIDGE)):
            match = pattern.search(content)
            if match and not getattr(known, field):
                known = replace(known, **{field: match[1]})  # type: ignore[arg-type]
        by_file[path] = known
    return tuple(definition for definition in by_file.values() if definition.name)


def parse_loops(text: str) -> tuple[LoopDevice, ...]:
    """Read `losetup --json`, which prints nothing where there are no loop devices."""
    deleted = " (deleted)"
    return tuple(
        LoopDevice(
            row["name"],
            row["back-file"].removesuffix(deleted),
            int(row["back-ino"]),
            row["back-file"].endswith(deleted),
        )
        for row in json.loads(text.strip() or '{"loopdevices": []}')["loopdevices"]
        if row.get("back-file")
    )


def parse_mount_points(text: str) -> tuple[MountPoint, ...]:
    """Read /proc/self/mountinfo."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        mounts.append(MountPoint(_unescaped(fields[4]), _unescaped(right.split()[1])))
    return tuple(mounts)


def parse_processes(text: str) -> tuple[RunningProcess, ...]:
    """Read `ps` with number, namespace, program and command line of each process.

    Left out are kernel threads, in brackets, and what is in containers: in another namespace than `ps` itself.
    """
    rows = [row for line in text.splitlines() if len(row := line.split(maxsplit=3)) == 4]
    here = next((row[1] for row in rows if row[2] == "ps"), None)
    return tuple(
        RunningProcess(int(number), program, command)
        for number, namespace, program, command in rows
        if not command.startswith("[") and (here is None or namespace == here)
    )


def parse_tables(text: str) -> tuple[str, ...]:
    """Read `nft list tables`: family and name of each."""
    return tuple(" ".join(line.split()[1:3]) for line in text.splitlines() if line.startswith("table "))


def parse_forwarding(text: str) -> tuple[tuple[str, str], ...]:
    """Read `bridge -json fdb show`: device and far end of each entry that leads to another host."""
    return tuple((row["ifname"], row["dst"]) for row in json.loads(text or "[]") if row and "dst" in row)


def parse_packages(text: str) -> frozenset[str]:
    """Read `dpkg-query`: state and name of each package that dpkg knows."""
    rows = (line.split("\t") for line in text.splitlines())
    return frozenset(row[1] for row in rows if row[0] == "installed")


def parse_groups(text: str) -> tuple[str, ...]:
    """Read paths, each ended by a zero byte."""
    return tuple(path for path in text.split("\0") if path.strip())


def parse_paths(text: str) -> dict[str, int]:
    """Read inodes with their paths, each ended by a zero byte, as file names may have line breaks.

    Those of folders end in a slash.
    """
    rows = (row.partition(" ") for row in text.split("\0") if row.strip())
    return {path: int(inode) for inode, _, path in rows}


def paths(folders: Iterable[str], *tests: str) -> Fact[dict[str, int]]:
    """Return the fact of all that is in folders, with inodes; one that isn't there holds nothing.

    Other file systems below them aren't looked into.
    """
    of_folders = ("(", "-type", "d", "-printf", r"%i %p/\0", ")")
    argv = ("find", *folders, "-xdev", *tests, *of_folders, "-o", "-printf", r"%i %p\0")
    return Fact(argv, parse_paths, must_succeed=False)


def virsh(uri: str, *commands: str) -> tuple[str, ...]:
    """Return the command line of one call of virsh that does several things, one after the other."""
    return ("virsh", "-q", "-c", uri, "; ".join(commands))


_DOMAINS: Final = "list --all --uuid --name"


def section(name: str) -> str:
    """Return virsh's command that prints a heading, by which readers tell the lists of one call apart."""
    return f"echo '\n{_HEADING}{name}\n'"  # virsh's own echo, which ends no line by itself


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


LIBVIRT: Final = Fact(
    virsh(
        QEMU,
        *(_DOMAINS, section("networks"), "net-list --all --name", section("pools"), "pool-list --all --name"),
        *(section("uuids"), "net-list --all --uuid", section("uuids"), "pool-list --all --uuid"),
        *(section("secrets"), "secret-list"),
    ),
    parse_libvirt,
    as_root=True,
)
CONTAINERS: Final = Fact(
    ("sh", "-c", f"exec {shlex.join(virsh(LXC, _DOMAINS))} 2>&1"),
    parse_containers,
    as_root=True,
    must_succeed=False,
)
DEFINITIONS: Final = Fact(
    (
        *("grep", "--recursive", "--no-messages", "--with-filename", "--include=*.xml"),
        *("-e", "<azlocal:owner", "-e", "<bridge ", "-e", "^ *<name>", "-e", "^ *<uuid>"),
        *("--", "/etc/libvirt/qemu", "/etc/libvirt/lxc", "/etc/libvirt/storage"),
    ),
    parse_definitions,
    as_root=True,
    must_succeed=False,
)
LOOPS: Final = Fact(
    ("losetup", "--json", "--list", "--output", "NAME,BACK-FILE,BACK-INO"), parse_loops, as_root=True
)
MOUNTS: Final = Fact(("cat", "/proc/self/mountinfo"), parse_mount_points)
PROCESSES: Final = Fact(("ps", "-e", "-ww", "--no-headers", "-o", "pid,pidns,comm,args"), parse_processes)
GROUPS: Final = Fact(  # of machines alone: what else there is comes and goes with logins and services
    (
        *("find", "/sys/fs/cgroup", "-mindepth", "1", "-maxdepth", "6", "-type", "d"),
        *(
            "(",
            "-name",
            "lxc-*",
            "-o",
            "-name",
            "qemu-*",
            "-o",
            "-name",
            "machine-*",
            "-o",
            "-name",
            "azlocal-*",
            ")",
        ),
        *("-prune", "-print0"),
    ),
    parse_groups,
    must_succeed=False,
)
TABLES: Final = Fact(("nft", "list", "tables"), parse_tables, as_root=True)
FORWARDING: Final = Fact(("bridge", "-json", "fdb", "show"), parse_forwarding)
PACKAGES: Final = Fact(  # it fails where no package is installed
    ("dpkg-query", "--show", "--showformat=${db:Status-Status}\\t${Package}\\n"),
    parse_packages,
    must_succeed=False,
)
