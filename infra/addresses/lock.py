"""netplans/<site>.lock.yaml: every address given out, and to whom; to addresses what a lock file is to packages.

One line an address or VRRP id, sorted, so that a git diff is the review. A site can carry several instances, so
an owner is `<instance>/<name>`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from infra.addresses.numbers import address_text
from infra.addresses.plan import Allocation
from infra.lock_file import broken_lock, lock_entries, read_lock_document, update_file, write_yaml
from infra.spec.findings import shown
from infra.spec.tree import Document

_HEADER = (
    "# Every address given out at this site, and to whom. azlocal writes it: review the diff, commit it.\n"
    "# Freed addresses are used again last, the lowest number first.\n"
)


@dataclass(frozen=True, slots=True)
class Given:
    """Who has an address: `<instance>/<name>`, and what for."""

    owner: str
    use: str


@dataclass(frozen=True, slots=True)
class Freed:
    """An address nobody has any more: its place in the queue, and whose it was."""

    order: int
    was: str


@dataclass(frozen=True, slots=True)
class VrrpId:
    """A VRRP id on a VLAN."""

    vlan: int
    number: int


@dataclass(frozen=True, slots=True)
class Lock:
    """What the lock file says: addresses by number, VRRP ids by `<instance>/<cluster>`."""

    given: Mapping[int, Given] = field(default_factory=dict)
    freed: Mapping[int, Freed] = field(default_factory=dict)
    vrrp: Mapping[str, VrrpId] = field(default_factory=dict)

    @property
    def instances(self) -> list[str]:
        """Return the names of the instances that have something."""
        return sorted({owner.partition("/")[0] for owner in (*self._owners(), *self.vrrp)})

    def _owners(self) -> Iterator[str]:
        return (one.owner for one in self.given.values())

    def of_instance(self, instance: str) -> dict[str, int]:
        """Return the addresses of one instance by the name that has them."""
        start = f"{instance}/"
        return {
            given.owner.removeprefix(start): address
            for address, given in sorted(self.given.items(), reverse=True)
            if given.owner.startswith(start)
        }

    def release(self, instance: str, names: Iterable[str], *, vrrp: Iterable[str] = ()) -> "Lock":
        """Return the lock without what the named owners of an instance have; it joins the queue.

        Args:
            instance: The instance.
            names: Owners of addresses, as the plan has them.
            vrrp: Owners of VRRP ids: clusters, `rb`.
        """
        owners, holders = ({f"{instance}/{one}" for one in part} for part in (names, vrrp))
        given = {address: one for address, one in self.given.items() if one.owner not in owners}
        return self._with(given, {owner: one for owner, one in self.vrrp.items() if owner not in holders})

    def record(
        self, instance: str, allocations: Iterable[Allocation], vrrp: Mapping[str, VrrpId] | None = None
    ) -> "Lock":
        """Return the lock after a plan of one instance: what it no longer gives out joins the queue."""
        start = f"{instance}/"
        others = {owner: one for owner, one in self.vrrp.items() if not owner.startswith(start)}
        ids = {**others, **{start + owner: one for owner, one in (vrrp or {}).items()}}
        given = {address: one for address, one in self.given.items() if not one.owner.startswith(start)}
        for one in allocations:
            if one.is_recorded:
                given[one.value] = Given(start + one.owner, one.use)
        return self._with(given, ids)

    def _with(self, given: Mapping[int, Given], vrrp: Mapping[str, VrrpId]) -> "Lock":
        freed = {address: one for address, one in self.freed.items() if address not in given}
        order = max((one.order for one in self.freed.values()), default=0)
        for address in sorted(self.given):
            if address not in given:
                order += 1
                freed[address] = Freed(order, self.given[address].owner)
        return Lock(given, freed, vrrp)


def read_lock(path: Path) -> Lock:
    """Read the lock; a file that isn't there is an empty lock.

    Raises:
        SpecError: The file is not a lock.
    """
    document = read_lock_document(path, f"netplans/{path.name}")
    return Lock() if document is None else _parse(document)


def write_lock(path: Path, lock: Lock) -> None:
    """Replace the lock file in one step; call it under `update_lock` only."""
    entries: dict[int, dict[str, str | int]] = {
        **{address: {"owner": one.owner, "use": one.use} for address, one in lock.given.items()},
        **{address: {"freed": one.order, "was": one.was} for address, one in lock.freed.items()},
    }
    addresses = {address_text(address): entries[address] for address in sorted(entries)}
    ids = {owner: {"vlan": one.vlan, "id": one.number} for owner, one in sorted(lock.vrrp.items())}
    content = {"version": 1, "addresses": addresses, **({"vrrpIds": ids} if ids else {})}
    write_yaml(path, _HEADER, content)


def update_lock(path: Path, change: Callable[[Lock], Lock]) -> Lock:
    """Read, change and write the lock while no other process does.

    Args:
        path: The lock file; its folder must exist.
        change: Returns the new lock; the file is written only if it differs.

    Raises:
        SpecError: The file is not a lock, or can't be written.
    """
    return update_file(path, f"netplans/{path.name}", read_lock, change, write_lock)


def _parse(document: Document) -> Lock:
    given: dict[int, Given] = {}
    freed: dict[int, Freed] = {}
    for text, entry in lock_entries(document, "addresses").items():
        try:
            address = int(IPv4Address(text))
        except AddressValueError:
            raise broken_lock(document, f"{shown(text)} is not an IPv4 address", ("addresses", text)) from None
        match entry:
            case {"owner": str(owner), "use": str(use)} if "/" in owner:
                given[address] = Given(owner, use)
            case {"freed": int(order), "was": str(was)}:
                freed[address] = Freed(order, was)
            case _:
                raise broken_lock(document, "neither {owner, use} nor {freed, was}", ("addresses", text))
    return Lock(given, freed, _parse_vrrp(document))


def _parse_vrrp(document: Document) -> dict[str, VrrpId]:
    entries = document.root.value.get("vrrpIds", {}) if document.root else {}
    if not isinstance(entries, dict):
        raise broken_lock(document, f"`vrrpIds` is {shown(entries)}")
    found: dict[str, VrrpId] = {}
    for owner, entry in entries.items():
        match entry:
            case {"vlan": int(vlan), "id": int(number)} if "/" in owner:
                found[owner] = VrrpId(vlan, number)
            case _:
                raise broken_lock(document, "no {vlan, id}", ("vrrpIds", owner))
    return found
