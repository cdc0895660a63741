"""Whose an object on a host is: by the marks of infra/kvm/ownership.py and names drawn from them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from infra.audit.model import Object, Observed, Scope
from infra.kvm import host_folders
from infra.kvm.claim import claim_file
from infra.kvm.clone_store import image_files
from infra.kvm.meshes import device_of, gateway_table_of, guard_table_of
from infra.kvm.ownership import Mark
from infra.kvm.snapshot_timer import UNITS, unit_prefix

Part: TypeAlias = tuple[Literal["machine", "network", "instance"], str]
"""Of what of an instance an object is a part."""

_POOL: Final = "azlocal-"
_PROBES: Final = f"{_POOL}doctor-"
_INSTANCE_FILE: Final = re.compile(r"(.+?)(?:\.(?:owner|inventory|xfs|xfs\.new))?")
_LIBVIRT_GROUP: Final = re.compile(r"(?:lxc|qemu)-\d+-(.+?)\.libvirt-(?:lxc|qemu)(?:\.libvirt)?")
_SCOPE: Final = re.compile(r"machine-(?:lxc|qemu)\\x2d\d+\\x2d(.+)\.scope")
_NAME_IN_GROUP: Final = 20
"""Characters of a machine's name that libvirt has in the names of its groups."""
_WORD: Final = r"[A-Za-z0-9.-]"
_DAEMONS: Final = re.compile(r"dnsmasq|swtpm|qemu-system-.*|libvirt_lxc|kvm|libvirt_leasesh")
_SUFFIXES: Final = (
    *(
        ".raw",
        ".qcow2",
        "-seed.iso",
        "_VARS.fd",
        ".conf",
        ".addnhosts",
        ".hostsfile",
        ".status",
        ".macs",
        ".leases",
    ),
    *(".xml", ".pid", ".log", ".complete"),
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An object of an instance.

    Attributes:
        part: Of what it is a part.
        is_certain: Whether its mark, or a name that is drawn from one, proves it; else its name only begins so.
    """

    part: Part
    is_certain: bool = True


_INSTANCE: Final[Part] = ("instance", "")


class Marks:
    """Tells whose objects on one host are."""

    def __init__(self, scope: Scope, observed: Observed) -> None:
        self._scope = scope
        self._mark = Mark(scope.instance, scope.stack, "")
        self._observed = observed
        domains = [thing for thing in observed.objects if thing.kind == "domain"]
        networks = [thing.name for thing in observed.objects if thing.kind == "network"]
        own = {thing.name for thing in domains if self._mark.owns("domain", thing.name, thing.evidence)}
        self.machines = frozenset({*scope.machine_names, *scope.machines, *own})
        self._strangers = {thing.name: thing.evidence for thing in domains if thing.name not in own}
        self._others = frozenset(_other_instances(observed)) - {scope.instance}
        self._longer = [other for other in self._others if other.startswith(f"{scope.instance}-")]
        self.bridges = {
            **scope.network_bridges,
            **scope.networks,
            **{
                entry.name: entry.bridge
                for entry in observed.definitions
                if entry.kind == "network" and entry.bridge and self._mark.owns("network", entry.name, entry.uuid)
            },
        }
        self.networks = frozenset(
            {*self.bridges, *(name for name in networks if self._mark.uuid("network", name) in observed.uuids)}
        )
        self._devices = {
            **{bridge: name for name, bridge in self.bridges.items()},
            **{device_of(self._mark, name): name for name in self.networks},
        }
        self._tables = {
            f"ip {table(self._mark, name)}": name
            for name in self.networks
            for table in (gateway_table_of, guard_table_of)
        }
        self._uuids = {self._mark.uuid("domain", name): name for name in self.machines}
        self._hooks = {f"azlocal-{self._mark.uuid('network', name)}": name for name in self.networks}
        self._ports = {
            thing.name: self._devices[thing.evidence]
            for thing in observed.objects
            if thing.kind == "link" and thing.evidence in self._devices
        }
        self._theirs = frozenset(self._devices_of_others())

    def of(self, thing: Object) -> Claimed | None:
        """Return of what of the instance an object is a part; None where it is none of its."""
        match thing.kind:
            case "domain":
                owned = self._mark.owns("domain", thing.name, thing.evidence)
                return Claimed(("machine", thing.name)) if owned else None
            case "network":
                owned = self._mark.uuid("network", thing.name) in self._observed.uuids
                return Claimed(("network", thing.name)) if owned else None
            case "pool":
                own = f"{_POOL}{self._scope.instance}"
                owned = self._mark.uuid("pool", own) in self._observed.uuids
                return Claimed(_INSTANCE) if owned and thing.name == own else None
            case "link" | "forwarding" | "route":
                device = thing.name if thing.kind == "link" else thing.evidence
                network = self._devices.get(device) or self._ports.get(device)
                return Claimed(("network", network)) if network else None
            case "nftables":
                network = self._tables.get(thing.name)
                return Claimed(("network", network)) if network else None
            case "mount":
                return self._at(thing.name) or self._at(thing.evidence)
            case "loop":
                return self._at(thing.evidence)
            case "process":
                return self._of_process(thing)
            case "group":
                return self._of_group(thing.evidence)
            case "package" | "secret":
                return None
            case _:
                return self._of_file(thing.name)

    def is_in_our_way(self, thing: Object) -> bool:
        """Return whether an object that isn't ours has a name that the instance needs."""
        if self.of(thing) is not None:
            return False
        return (
            (thing.kind == "domain" and thing.name in self.machines)
            or (thing.kind == "network" and thing.name in self.bridges)
            or (thing.kind == "pool" and thing.name == f"{_POOL}{self._scope.instance}")
        )

    def other_instance(self, thing: Object) -> str:
        """Return which other instance of azlocal's an object belongs to; empty where it belongs to none."""
        if thing.kind == "domain":
            owners = {entry.name: entry.instance for entry in self._observed.definitions if entry.kind == "domain"}
            return owners.get(thing.name, "")
        if thing.kind == "pool" and thing.name.startswith(_PROBES):
            return "doctor"
        device = thing.name if thing.kind == "link" else thing.evidence
        uuid = thing.evidence.removeprefix("azlocal-")
        if thing.kind == "group" and any(uuid == entry.uuid for entry in self._observed.definitions):
            return "another"
        if thing.kind == "dnsmasq" and thing.name.rpartition("/")[2].rpartition(".")[0] in self._theirs:
            return "another"
        if thing.kind in ("link", "forwarding", "route") and (
            device in self._theirs or thing.evidence in self._theirs
        ):
            return "another"
        names = list(_names_in(thing))
        for other in sorted(self._others, key=len, reverse=True):
            if any(name == other or name.startswith(f"{other}-") for name in names):
                return other
        return ""

    def _devices_of_others(self) -> Iterator[str]:
        """Yield the interfaces of networks of libvirt's that aren't ours: what hangs on them isn't, either."""
        for entry in self._observed.definitions:
            if entry.kind != "network" or entry.name in self.networks or not entry.bridge:
                continue
            yield entry.bridge
            for other in self._others:
                if entry.name.startswith(f"{other}-"):
                    yield device_of(Mark(other, other, ""), entry.name)

    def _at(self, path: str) -> Claimed | None:
        """Return what a path is, if it lies in our storage directory, or is its file."""
        directory = self._scope.directory
        if path == directory or path in (claim_file(directory), *image_files(directory)):
            return Claimed(_INSTANCE)
        if not path.startswith(f"{directory}/"):
            return None
        folder, _, name = path.removeprefix(f"{directory}/").partition("/")
        if not name:
            return Claimed(_INSTANCE)
        if not name.startswith(("image-", f"{self._scope.instance}-")):
            return None
        of_machines = (host_folders.VOLUMES, host_folders.SEEDS, host_folders.DATA)
        of_machine = folder in of_machines and not name.startswith("image-")
        return Claimed(("machine", _bare(name.split("/")[0]))) if of_machine else Claimed(_INSTANCE)

    def _of_file(self, path: str) -> Claimed | None:
        instance, base = self._scope.instance, path.rpartition("/")[2]
        if path == f"{self._scope.directory}.inventory":
            return Claimed(_INSTANCE)
        at = self._at(path)
        if at is not None:
            return at
        if base in (f"90-azlocal-{instance}.yaml", f"06-azlocal-{instance}.network"):
            return Claimed(_INSTANCE)
        if base == f"azlocal-emulator-{instance}.service" or base == f"{_POOL}{instance}.xml":
            return Claimed(_INSTANCE)
        if base.startswith(unit_prefix(instance)) and path.startswith("/etc/systemd/"):
            is_anothers = any(base.startswith(unit_prefix(other)) for other in self._longer)
            return None if is_anothers else Claimed(_INSTANCE)
        if path.startswith("/etc/systemd/") and base == _unit_of(self._scope.directory):
            return Claimed(_INSTANCE)
        if base in self._hooks:
            return Claimed(("network", self._hooks[base]))
        if base in self._uuids:  # a TPM's state
            return Claimed(("machine", self._uuids[base]))
        for device, network in self._devices.items():
            of_libvirt = path.startswith("/var/lib/libvirt/dnsmasq/") and base.startswith(f"{device}.")
            if of_libvirt or re.fullmatch(rf"/run/systemd/network/10-netplan-{re.escape(device)}\..+", path):
                return Claimed(("network", network))
        if path.startswith(("/var/lib/libvirt/", "/etc/libvirt/")):
            return self._named(base)
        return None

    def _of_process(self, thing: Object) -> Claimed | None:
        words = thing.evidence.split()
        if "infra.emulator" in words:
            ours = any(word.endswith(f"/emulator/{self._scope.instance}") for word in words)
            return Claimed(_INSTANCE) if ours else None
        if not _DAEMONS.fullmatch(thing.name):
            return None
        for uuid, machine in self._uuids.items():
            if uuid in thing.evidence:
                return Claimed(("machine", machine))
        for name in re.findall(rf"(?<!{_WORD}){re.escape(self._scope.instance)}-{_WORD}+", thing.evidence):
            claimed = self._named(name)
            if claimed is not None:
                return claimed
        return None

    def _of_group(self, base: str) -> Claimed | None:
        machine = self._uuids.get(base.removeprefix("azlocal-"))
        if machine:
            return Claimed(("machine", machine))
        match = _LIBVIRT_GROUP.fullmatch(base) or _SCOPE.fullmatch(base)
        if match is None:
            return None
        name = match[1].replace(r"\x2d", "-")
        alike = [machine for machine in sorted(self.machines) if machine[:_NAME_IN_GROUP] == name[:_NAME_IN_GROUP]]
        if alike and not any(other[:_NAME_IN_GROUP] == name for other in self._strangers):
            return Claimed(("machine", alike[0]))
        return self._named(name)

    def _named(self, base: str) -> Claimed | None:
        """Return what has a name of ours, or one that begins like ours and is nobody else's."""
        name = _bare(base)
        if name in self._strangers:
            return None
        if name in self.machines:
            return Claimed(("machine", name))
        if name in self.networks:
            return Claimed(("network", name))
        if not name.startswith(f"{self._scope.instance}-"):
            return None
        if any(name.startswith(f"{other}-") for other in self._longer):
            return None
        return Claimed(("machine", name), is_certain=False)


def _bare(base: str) -> str:
    """Return a file's name without what libvirt and azlocal add to a machine's or a network's."""
    suffix = next((suffix for suffix in _SUFFIXES if base.endswith(suffix)), "")
    return base[: len(base) - len(suffix)]


def _unit_of(directory: str) -> str:
    """Return the name of the unit that mounts a folder (systemd.unit(5), on escaping of paths)."""
    escaped = "".join(
        letter if letter.isalnum() or letter in ":_." else "-" if letter == "/" else f"\\x{ord(letter):02x}"
        for letter in directory.strip("/")
    )
    return f"{escaped}.mount"


def _other_instances(observed: Observed) -> Iterator[str]:
    """Yield the instances that a host has, by their pools, claims and machines."""
    for thing in observed.objects:
        if thing.kind == "pool" and thing.name.startswith(_POOL) and not thing.name.startswith(_PROBES):
            yield thing.name.removeprefix(_POOL)
        elif thing.kind == "file" and thing.name.endswith(".owner"):
            yield thing.name.rpartition("/")[2].removesuffix(".owner")
    yield from (entry.instance for entry in observed.definitions if entry.instance)


def _names_in(thing: Object) -> Iterable[str]:
    """Yield the names that an object's name and evidence are made of, as far as instances could be in them."""
    match thing.kind:
        case "process" | "group":
            yield from re.findall(rf"{_WORD}+", thing.evidence)
            yield from (part for part in thing.evidence.split("/"))
            match = _LIBVIRT_GROUP.fullmatch(thing.evidence)
            if match:
                yield match[1]
        case "mount" | "loop":
            yield from re.split(r"[/ ]", f"{thing.name}/{thing.evidence}".replace(".xfs", ""))
        case "domain" | "network" | "pool":
            yield thing.name.removeprefix(_POOL)
        case _:
            for part in thing.name.split("/"):
                stripped = _INSTANCE_FILE.fullmatch(part)
                yield stripped[1] if stripped else part
                yield part.removeprefix("90-azlocal-").removeprefix(UNITS).removesuffix(".yaml")
                yield part.removeprefix(_POOL).removesuffix(".xml")
