"""netplans/<site>.lock.yaml: every address given out, and to whom; to addresses what a lock file is to packages.

One line an address or VRRP id, sorted, so that a git diff is the review. A site can carry several instances, so
an owner is `<instance>/<name>`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Final

from infra.plan.addresses.numbers import address_text
from infra.plan.addresses.plan import Allocation
from infra.plan.lock_file import LockFile, broken_lock, lock_entries
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
        return (holder.owner for holder in self.given.values())

    def of_instance(self, instance: str) -> dict[str, int]:
        """Return the addresses of one instance by the name that has them."""
        start = f"{instance}/"
        return {
            holder.owner.removeprefix(start): address
            for address, holder in sorted(self.given.items(), reverse=True)
            if holder.owner.startswith(start)
        }

    def release(self, instance: str, names: Iterable[str], *, vrrp: Iterable[str] = ()) -> "Lock":
        """Return the lock without what the named owners of an instance have; it joins the queue.

        Args:
            instance: The instance.
            names: Owners of addresses, as the plan has them.
            vrrp: Owners of VRRP ids: clusters, `rb`.
        """
        owners, holders = ({f"{instance}/{name}" for name in part} for part in (names, vrrp))
        addresses = {address: holder for address, holder in self.given.items() if holder.owner not in owners}
        return self._with(
            addresses, {owner: vrrp_id for owner, vrrp_id in self.vrrp.items() if owner not in holders}
        )

    def record(
        self, instance: str, allocations: Iterable[Allocation], vrrp: Mapping[str, VrrpId] | None = None
    ) -> "Lock":
        """Return the lock after a plan of one instance: what it no longer gives out joins the queue."""
        start = f"{instance}/"
        others = {owner: vrrp_id for owner, vrrp_id in self.vrrp.items() if not owner.startswith(start)}
        ids = {**others, **{start + owner: vrrp_id for owner, vrrp_id in (vrrp or {}).items()}}
        addresses = {
            address: holder for address, holder in self.given.items() if not holder.owner.startswith(start)
        }
        for allocation in allocations:
            if allocation.is_recorded:
                addresses[allocation.value] = Given(start + allocation.owner, allocation.use)
        return self._with(addresses, ids)

    def _with(self, addresses: Mapping[int, Given], vrrp: Mapping[str, VrrpId]) -> "Lock":
        freed = {address: former for address, former in self.freed.items() if address not in addresses}
        order = max((former.order for former in self.freed.values()), default=0)
        for address in sorted(self.given):
            if address not in addresses:
                order += 1
                freed[address] = Freed(order, self.given[address].owner)
        return Lock(addresses, freed, vrrp)


def _content(lock: Lock) -> dict[str, Any]:
    entries: dict[int, dict[str, str | int]] = {
        **{address: {"owner": holder.owner, "use": holder.use} for address, holder in lock.given.items()},
        **{address: {"freed": former.order, "was": former.was} for address, former in lock.freed.items()},
    }
    addresses = {address_text(address): entries[address] for address in sorted(entries)}
    ids = {owner: {"vlan": vrrp_id.vlan, "id": vrrp_id.number} for owner, vrrp_id in sorted(lock.vrrp.items())}
    return {"version": 1, "addresses": addresses, **({"vrrpIds": ids} if ids else {})}


def _parse(document: Document) -> Lock:
    addresses: dict[int, Given] = {}
    freed: dict[int, Freed] = {}
    for text, entry in lock_entries(document, "addresses").items():
        try:
            address = int(IPv4Address(text))
        except AddressValueError:
            raise broken_lock(document, f"{shown(text)} is not an IPv4 address", ("addresses", text)) from None
        match entry:
            case {"owner": str(owner), "use": str(use)} if "/" in owner:
                addresses[address] = Given(owner, use)
            case {"freed": int(order), "was": str(was)}:
                freed[address] = Freed(order, was)
            case _:
                raise broken_lock(document, "neither {owner, use} nor {freed, was}", ("addresses", text))
    return Lock(addresses, freed, _parse_vrrp(document))


def _parse_vrrp(document: Document) -> dict[str, VrrpId]:
    entries = document.root.value.get("vrrpIds", {}) if document.root else {}
    if not isinstance(entries, dict):
        raise broken_lock(document, f"`vrrpIds` is {shown(entries)}")
    ids: dict[str, VrrpId] = {}
    for owner, entry in entries.items():
        match entry:
            case {"vlan": int(vlan), "id": int(number)} if "/" in owner:
                ids[owner] = VrrpId(vlan, number)
            case _:
                raise broken_lock(document, "no {vlan, id}", ("vrrpIds", owner))
    return ids


ADDRESS_LOCK: Final = LockFile("netplans", Lock(), _parse, _content, _HEADER)
