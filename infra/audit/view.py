"""What a host's answers say that stands there. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from infra.audit.model import Definition, Inventory, Kind, Object, Observed
from infra.hosts.facts import Fact, census, network
from infra.hosts.facts.batch import NOT_THERE, Answer, NoAnswer, learn
from infra.hosts.facts.files import Files, contents
from infra.kvm.claim import claim_file

T = TypeVar("T")

FORMAT: Final = 1
FOLDER: Final = "folder"
"""The evidence of a path that is a folder."""
_FOLDERS: Final = (
    *("/etc", "/root/.ssh", "/var/lib/libvirt"),
    *("/run/azlocal", "/run/netns", "/run/netplan", "/run/systemd/network"),
)
_LIBVIRT_DAEMONS: Final = frozenset({"libvirtd", "virtqemud", "virtnetworkd", "virtstoraged"})
_OPTIONAL: Final = frozenset({"tables", "packages"})
"""Facts of programs without which there is nothing to see: nobody made an nftables table without nft."""

_OF_FILES: Final[tuple[Kind, ...]] = ("nvram", "tpm", "dnsmasq", "netplan", "hook", "unit", "file")
_TOLD_BY: Final[Mapping[str, tuple[Kind, ...]]] = {
    "libvirt": ("domain", "network", "pool", "secret"),
    "containers": ("domain",),
    "links": ("link",),
    "routes": ("route",),
    "forwarding": ("forwarding",),
    "mounts": ("mount",),
    "loops": ("loop",),
    "processes": ("process",),
    "groups": ("group",),
    "tables": ("nftables",),
    "packages": ("package",),
    "files": _OF_FILES,
    "homes": ("file",),
    "storage": ("volume", "image", "seed", "backup", "file"),
}
"""The kinds that each fact of a host tells of."""

_PATHS: Final[tuple[tuple[str, Kind], ...]] = (
    (r"/var/lib/libvirt/qemu/nvram/.+", "nvram"),
    (r"/var/lib/libvirt/swtpm/.+", "tpm"),
    (r"/var/lib/libvirt/dnsmasq/.+", "dnsmasq"),
    (r"/(?:etc|run)/netplan/.+", "netplan"),
    (r"/etc/libvirt/hooks/.+", "hook"),
    (r"/etc/systemd/(?:system|network)/.+", "unit"),
)


def inventory_path(directory: str) -> str:
    """Return where the inventory of a host lies that was taken before the instance with this storage directory."""
    return f"{directory.rstrip('/')}.inventory"


_FILES: Final = census.paths(_FOLDERS)


def _homes(directory: str) -> Fact[dict[str, int]]:
    return census.paths(("/root", directory.rpartition("/")[0] or "/"), "-maxdepth", "1")


def _storage(directory: str) -> Fact[dict[str, int]]:
    return census.paths((directory,), "-mindepth", "1")


def _notes(directory: str) -> Fact[Files]:
    return contents((claim_file(directory), inventory_path(directory)))


def facts(directory: str) -> dict[str, Fact[Any]]:
    """Return what a host is asked, by names; `directory` is the instance's storage directory there."""
    return {
        "libvirt": census.LIBVIRT,
        "containers": census.CONTAINERS,
        "definitions": census.DEFINITIONS,
        "links": network.LINKS,
        "routes": network.ROUTES,
        "forwarding": census.FORWARDING,
        "mounts": census.MOUNTS,
        "loops": census.LOOPS,
        "processes": census.PROCESSES,
        "groups": census.GROUPS,
        "tables": census.TABLES,
        "packages": census.PACKAGES,
        "files": _FILES,
        "homes": _homes(directory),
        "storage": _storage(directory),
        "notes": _notes(directory),
    }


def observe(directory: str, answers: Mapping[str, Answer]) -> Observed:
    """Return what stands on a host that has answered."""
    return _View(directory, answers).observed()


def inventory_of(observed: Observed, taken: str) -> Inventory:
    """Return what a host has, to be noted; kinds that couldn't be looked at are left out."""
    unknown = {kind for fact in observed.unseen for kind in _TOLD_BY.get(fact, ())}
    names: dict[str, set[str]] = {kind: set() for kinds in _TOLD_BY.values() for kind in kinds}
    for thing in observed.objects:
        names.setdefault(thing.kind, set()).add(thing.name)
    for kind in unknown:
        names.pop(kind, None)
    return Inventory(taken, {kind: frozenset(listed) for kind, listed in names.items()})


def inventory_text(inventory: Inventory) -> str:
    """Return an inventory as it is kept."""
    names = {kind: sorted(listed) for kind, listed in sorted(inventory.names.items())}
    return json.dumps({"format": FORMAT, "taken": inventory.taken, "names": names}) + "\n"


def read_inventory(text: str) -> Inventory | None:
    """Return an inventory that was kept; None where it can't be read by this version."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            return None
        names = {str(kind): frozenset(map(str, listed)) for kind, listed in content["names"].items()}
        return Inventory(str(content["taken"]), names)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class _View:
    def __init__(self, directory: str, answers: Mapping[str, Answer]) -> None:
        self.directory = directory.rstrip("/")
        self.answers = answers
        self.unseen: dict[str, str] = {}
        folders = {"files": _FILES, "homes": _homes(directory), "storage": _storage(directory)}
        self.inodes: dict[str, int] = {}
        for name, fact in folders.items():
            self.inodes |= self.learned(name, fact) or {}

    def observed(self) -> Observed:
        processes = self.learned("processes", census.PROCESSES) or ()
        definitions = tuple(
            Definition(entry.kind, entry.name, entry.uuid, entry.instance, entry.bridge)
            for entry in self.learned("definitions", census.DEFINITIONS) or ()
        )
        is_off = "processes" not in self.unseen and not any(
            process.program in _LIBVIRT_DAEMONS for process in processes
        )
        libvirt, uuids = self.libvirt(definitions, is_off=is_off)
        notes = self.learned("notes", _notes(self.directory)) or {}
        return Observed(
            tuple(sorted({*libvirt, *self.kernel(), *self.running(processes), *self.on_disk()})),
            definitions,
            uuids,
            self.unseen,
            read_inventory(notes.get(inventory_path(self.directory), "")),
            *_claim(notes.get(claim_file(self.directory), "")),
        )

    def learned(self, name: str, fact: Fact[T]) -> T | None:
        """Return a fact; where it can't be learned, note why."""
        answer = self.answers.get(name)
        try:
            return learn(fact, answer)
        except NoAnswer as error:
            if name not in _OPTIONAL or answer is None or answer.exit_code != NOT_THERE:
                self.unseen[name] = str(error)
            return None

    def libvirt(self, definitions: Sequence[Definition], *, is_off: bool) -> tuple[list[Object], frozenset[str]]:
        """Return libvirt's objects; where no daemon of it runs, those that it would have at its start."""
        if is_off:
            uuids = frozenset(entry.uuid for entry in definitions)
            return [Object(entry.kind, entry.name, entry.uuid) for entry in definitions], uuids
        none = census.LibvirtObjects({})
        main = self.learned("libvirt", census.LIBVIRT) or none
        containers = self.learned("containers", census.CONTAINERS) or none
        return [
            *(Object("domain", name, uuid) for of in (main, containers) for name, uuid in of.domains.items()),
            *(Object("network", name) for name in main.networks),
            *(Object("pool", name) for name in main.pools),
            *(Object("secret", uuid) for uuid in main.secrets),
        ], main.uuids

    def kernel(self) -> Iterator[Object]:
        for link in (self.learned("links", network.LINKS) or {}).values():
            yield Object("link", link.name, link.master or link.parent or "")
        for route in self.learned("routes", network.ROUTES) or ():
            yield Object("route", f"{route.destination} dev {route.device}", route.device or "")
        for device, peer in self.learned("forwarding", census.FORWARDING) or ():
            yield Object("forwarding", f"{peer} dev {device}", device)
        for table in self.learned("tables", census.TABLES) or ():
            yield Object("nftables", table)
        for mount in self.learned("mounts", census.MOUNTS) or ():
            yield Object("mount", mount.target, mount.source)
        for loop in self.learned("loops", census.LOOPS) or ():
            # The kernel lists those of all mount namespaces, as of a lab's hosts.
            if loop.is_deleted or self.inodes.get(loop.file) == loop.inode:
                yield Object("loop", f"{loop.name} of {loop.file}", loop.file)

    def running(self, processes: Sequence[census.RunningProcess]) -> Iterator[Object]:
        for process in processes:
            yield Object("process", process.program, f"{process.id} {process.command}")
        for path in self.learned("groups", census.GROUPS) or ():
            yield Object("group", path, path.rpartition("/")[2])

    def on_disk(self) -> Iterator[Object]:
        for name in self.learned("packages", census.PACKAGES) or ():
            yield Object("package", name)
        for listed in self.inodes:
            path = listed.rstrip("/") or "/"
            yield Object(_kind_of(path, self.directory), path, FOLDER if listed.endswith("/") else "")


def _kind_of(path: str, directory: str) -> Kind:
    if path.startswith(f"{directory}/"):
        folder, _, name = path.removeprefix(f"{directory}/").partition("/")
        if folder == "volumes" and name:
            return "seed" if name.endswith("-seed.iso") else "image" if name.startswith("image-") else "volume"
        if name and folder in ("seeds", "backups"):
            return "seed" if folder == "seeds" else "backup"
        return "file"
    return next((kind for pattern, kind in _PATHS if re.fullmatch(pattern, path)), "file")


def _claim(text: str) -> tuple[str, str]:
    """Return the id of a claim, and who made it, for people; empty where it can't be read."""
    try:
        content = json.loads(text) if text else {}
    except ValueError:
        return "", ""
    if not isinstance(content, dict):
        return "", ""
    return str(content.get("id", "")), str(content.get("made_by", ""))
