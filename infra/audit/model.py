"""What an audit sees, what it is to see, and what it makes of that. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

LibvirtKind: TypeAlias = Literal["domain", "network", "pool", "secret"]
StorageKind: TypeAlias = Literal["volume", "image", "seed", "backup", "nvram", "tpm", "mount", "loop"]
NetworkKind: TypeAlias = Literal["link", "forwarding", "route", "nftables"]
FileKind: TypeAlias = Literal["dnsmasq", "netplan", "unit", "hook", "file"]
BesideKind: TypeAlias = Literal["arm", "emulator", "context", "known_hosts"]
Kind: TypeAlias = (
    LibvirtKind | StorageKind | NetworkKind | FileKind | BesideKind | Literal["group", "process", "package"]
)
"""What kinds of object an audit looks at."""

Verdict: TypeAlias = Literal["leftover", "missing", "foreign", "unexplained", "note", "kept"]
"""What an object is: ours, and nothing wants it; wanted, and not there; somebody else's, under a name of ours;
not in the inventory, and without anybody's mark; a hint; left on purpose."""

WRONG: tuple[Verdict, ...] = ("leftover", "missing", "foreign")


@dataclass(frozen=True, slots=True, order=True)
class Object:
    """Something that stands on a host.

    Attributes:
        kind: What it is.
        name: Its name, its path; the same in an inventory and later.
        evidence: What tells whose it is, beside the name: a UUID, the bridge of a port, a command line.
    """

    kind: Kind
    name: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """An object that libvirt's files on a host describe.

    Attributes:
        instance: The instance that the mark in it names; empty without a mark.
        bridge: A network's interface.
    """

    kind: Kind
    name: str
    uuid: str
    instance: str = ""
    bridge: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a host had before the first object of an instance.

    Attributes:
        taken: When, for people.
        names: Names by kind; a kind that couldn't be looked at then is missing.
    """

    taken: str
    names: Mapping[str, frozenset[str]]

    def has(self, thing: Object) -> bool:
        """Return whether it was there already; of a kind that wasn't looked at then, nobody knows."""
        return thing.kind not in self.names or thing.name in self.names[thing.kind]


@dataclass(frozen=True, slots=True)
class Observed:
    """What stands on a host.

    Attributes:
        objects: All of them, whoever made them.
        definitions: What libvirt's files describe.
        uuids: Of networks and pools.
        unseen: What couldn't be looked at, and why.
        inventory: What the host had before; None where nobody noted that.
        claim: The id of the state that has the instance there; empty where none says so.
        claimed_by: Who runs that state, for people.
    """

    objects: tuple[Object, ...] = ()
    definitions: tuple[Definition, ...] = ()
    uuids: frozenset[str] = frozenset()
    unseen: Mapping[str, str] = field(default_factory=dict)
    inventory: Inventory | None = None
    claim: str = ""
    claimed_by: str = ""

    @property
    def count(self) -> int:
        """Return how many objects were looked at."""
        return len(self.objects)


@dataclass(frozen=True, slots=True)
class Scope:
    """What of an instance is to stand on a host, and under which names anything of it could.

    Attributes:
        instance: Its name.
        stack: The Pulumi stack's.
        host: The host's name.
        connection: libvirt's URI of the host.
        directory: The instance's storage directory there.
        stands: Whether the host has the instance: pool and folder are to be there.
        machines: Those that are to stand there.
        networks: The bridge of each network that is to stand there.
        machine_names: All that the instance has or had, on whichever host.
        network_bridges: Likewise, by network.
        owners: The ids by which hosts may know the stack's state; None: whichever.
        is_lost: The hosts file gives it up: nothing is asked of it.
        is_protected: The hosts file has `protected: true`: nothing is removed there.
    """

    instance: str
    stack: str
    host: str
    connection: str
    directory: str
    stands: bool = False
    machines: frozenset[str] = frozenset()
    networks: Mapping[str, str] = field(default_factory=dict)
    machine_names: frozenset[str] = frozenset()
    network_bridges: Mapping[str, str] = field(default_factory=dict)
    owners: frozenset[str] | None = None
    is_lost: bool = False
    is_protected: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """What is worth saying of an object.

    Attributes:
        verdict: What is the matter with it.
        kind: What it is.
        name: Its name or path.
        note: What else there is to know, for people.
        is_certain: Whether its mark proves whose it is; else its name says so.
    """

    verdict: Verdict
    kind: Kind
    name: str
    note: str = ""
    is_certain: bool = True

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True, slots=True)
class Place:
    """What an audit says of a host, of Azure, or of this machine's user.

    Attributes:
        name: Which.
        items: What is worth saying.
        looked_at: How many objects were seen.
        unseen: What couldn't be looked at, and why.
        given_up: Why nothing was asked of it, where that is what somebody wanted; empty otherwise.
        since: When the inventory was taken that it was compared with; empty where there is none.
    """

    name: str
    items: tuple[Item, ...] = ()
    looked_at: int = 0
    unseen: Mapping[str, str] = field(default_factory=dict)
    given_up: str = ""
    since: str = ""

    def of(self, *verdicts: Verdict) -> list[Item]:
        """Return what there is of some verdicts."""
        return [item for item in self.items if item.verdict in verdicts]


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit says.

    Attributes:
        instance: Of which instance.
        hosts: In the order of the hosts file.
        beside: What is no host: Azure, and this machine's user.
        seconds: How long it took.
        strict: Whether what nobody's mark explains counts as wrong, too.
    """

    instance: str
    hosts: tuple[Place, ...]
    beside: tuple[Place, ...] = ()
    seconds: float = 0.0
    strict: bool = False

    @property
    def places(self) -> tuple[Place, ...]:
        """Return all places."""
        return (*self.hosts, *self.beside)

    @property
    def wrong(self) -> list[tuple[str, Item]]:
        """Return what is wrong, each with its place."""
        verdicts: tuple[Verdict, ...] = (*WRONG, "unexplained") if self.strict else WRONG
        return [(place.name, item) for place in self.places for item in place.of(*verdicts)]

    @property
    def unseen(self) -> list[tuple[str, str]]:
        """Return what couldn't be looked at and why, each with its place."""
        return [
            (place.name, f"{what}: {why}" if what else why)
            for place in self.places
            for what, why in place.unseen.items()
        ]

    @property
    def looked_at(self) -> int:
        """Return how many objects were seen."""
        return sum(place.looked_at for place in self.places)

    @property
    def exit_code(self) -> int:
        """Return 2 where something is wrong, 1 where something couldn't be looked at, else 0."""
        return 2 if self.wrong else 1 if self.unseen else 0
