"""Give every claim an address: what the lock says, then the lowest free one, freed ones last."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from infra.plan.addresses.claims import Claim
from infra.plan.addresses.layout import Network
from infra.plan.addresses.lock import Lock
from infra.plan.addresses.numbers import walk, without
from infra.plan.addresses.occupants import Occupant
from infra.plan.inventory import BRIDGE_MACHINE, BRIDGE_SPARE
from infra.spec.types import AddressRange


@dataclass(frozen=True, slots=True)
class Stranded:
    """A claim whose recorded address can't stay.

    Attributes:
        claim: Who has it.
        address: The address on record.
        reason: Why it can't stay.
    """

    claim: Claim
    address: int
    reason: str


@dataclass(slots=True)
class Outcome:
    """What came of the claims.

    Attributes:
        given: Address by owner.
        unplaced: Claims that found no address.
        stranded: Claims whose recorded address can't stay; they keep it in the plan, which is not sound.
        moved: Pins of claims that have another address on record, and that address.
        clashes: Pins on an address that somebody else has: claim, address, who has it.
    """

    given: dict[str, int] = field(default_factory=dict)
    unplaced: list[Claim] = field(default_factory=list)
    stranded: list[Stranded] = field(default_factory=list)
    moved: list[tuple[Claim, int]] = field(default_factory=list)
    clashes: list[tuple[Claim, int, str]] = field(default_factory=list)


def allocate(
    instance: str,
    networks: list[Network],
    claims: Iterable[Claim],
    occupants: Iterable[Occupant],
    lock: Lock,
) -> Outcome:
    """Give every claim an address.

    Args:
        instance: The instance's name, by which the lock knows it.
        networks: All networks of the site.
        claims: Who needs an address, in the order in which they choose.
        occupants: What has an address already, whatever we do.
        lock: Earlier plans' addresses.
    """
    return _Allocator(instance, networks, occupants, lock).run(list(claims))


class _Allocator:
    def __init__(self, instance: str, networks: list[Network], occupants: Iterable[Occupant], lock: Lock) -> None:
        self.instance = instance
        self.networks = networks
        self.lock = lock
        self.outcome = Outcome()
        self.taken: dict[int, str] = {}
        for occupant in occupants:
            for address in walk([occupant.listed] if occupant.listed else []):
                self.taken.setdefault(address, occupant.owner)
        for address, holder in lock.given.items():
            if not holder.owner.startswith(f"{instance}/"):
                self.taken.setdefault(address, holder.owner)
        self.sources: dict[tuple[int, str], Iterator[int]] = {}
        self.freed: list[int] = []

    def run(self, claims: list[Claim]) -> Outcome:
        """Pins first, then what is on record, then new claims; each in the claims' order."""
        claims = list({claim.owner: claim for claim in reversed(claims)}.values())[::-1]
        pinned = [claim for claim in claims if claim.pin is not None]
        others = [claim for claim in claims if claim.pin is None]
        recorded = self.lock.of_instance(self.instance)
        self.freed = self._freed_queue(claims, recorded)
        self._place_pins(pinned, self._holders(others, recorded))
        self.outcome.moved += [
            (claim, recorded[claim.owner]) for claim in pinned if recorded.get(claim.owner, claim.pin) != claim.pin
        ]
        fresh = [claim for claim in others if not self._stays(claim, recorded.get(claim.owner))]
        returning = self._former_addresses()
        newcomers = [claim for claim in fresh if not self._returns(claim, returning.get(claim.owner))]
        for claim in newcomers:
            self._choose(claim)
        return self.outcome

    def _freed_queue(self, claims: Iterable[Claim], recorded: Mapping[str, int]) -> list[int]:
        """Return every freed address, the longest unused first; what this very edit frees comes last of all.

        Its machine may still run while the new one is being made.
        """
        pins = {claim.owner: claim.pin for claim in claims}
        leaving = [
            address
            for owner, address in recorded.items()
            if owner not in pins or pins[owner] not in (None, address)
        ]
        queue = sorted(self.lock.freed, key=lambda address: self.lock.freed[address].order)
        return [*queue, *sorted(leaving)]

    def _holders(self, claims: list[Claim], recorded: Mapping[str, int]) -> dict[int, str]:
        return {recorded[claim.owner]: claim.owner for claim in claims if claim.owner in recorded}

    def _place_pins(self, claims: list[Claim], holders: Mapping[int, str]) -> None:
        for claim in claims:
            assert claim.pin is not None  # noqa: S101  run() chose them by that
            other = self.taken.get(claim.pin) or holders.get(claim.pin)
            if other is not None:
                self.outcome.clashes.append((claim, claim.pin, other))
            self._give(claim, claim.pin)

    def _stays(self, claim: Claim, address: int | None) -> bool:
        if address is None:
            return False
        if address in self.taken and any(address == pin for _, pin, _ in self.outcome.clashes):
            return True  # the pin's clash is reported; nobody is renumbered because of it
        reason = self._why_not(claim, address)
        if reason is not None:
            self.outcome.stranded.append(Stranded(claim, address, reason))
        self._give(claim, address)
        return True

    def _why_not(self, claim: Claim, address: int) -> str | None:
        network = self.networks[claim.network]
        if address not in network.usable:
            return f"it lies outside network {network.name} ({network.prefix})"
        if address in self.taken:
            return f"it is {self.taken[address]}'s now"
        if claim.place == "pool" and not network.is_in_pool(address) and claim.use != "controlPlaneVip":
            return f"it lies outside the pools of network {network.name}"
        if claim.place == "outside" and network.is_in_pool(address):
            return f"it lies in a pool of network {network.name}"
        return None

    def _former_addresses(self) -> dict[str, int]:
        start = f"{self.instance}/"
        queue = sorted(self.lock.freed.items(), key=lambda pair: pair[1].order)
        return {freed.was.removeprefix(start): address for address, freed in queue if freed.was.startswith(start)}

    def _returns(self, claim: Claim, address: int | None) -> bool:
        """Give a claim that comes back the address it had, if nobody took it: addresses follow names."""
        if address is None or self._why_not(claim, address) is not None or not self._is_adjacent(claim, address):
            return False
        self._give(claim, address)
        return True

    def _choose(self, claim: Claim) -> None:
        if claim.owner in self.outcome.given:
            return
        partner = self.outcome.given.get(claim.follows) if claim.follows else None
        if partner is not None:
            candidates: Iterable[int] = (partner + 1, partner - 1)
            address = next(
                (candidate for candidate in candidates if self._why_not(claim, candidate) is None), None
            )
        elif claim.owner == BRIDGE_MACHINE:
            address = self._adjacent_pair(claim)
        else:
            address = self._next(claim)
        if address is None:
            self.outcome.unplaced.append(claim)
        else:
            self._give(claim, address)

    def _adjacent_pair(self, claim: Claim) -> int | None:
        spare = self.outcome.given.get(BRIDGE_SPARE)
        if spare is not None:
            return next(
                (candidate for candidate in (spare - 1, spare + 1) if self._why_not(claim, candidate) is None),
                None,
            )
        spans = self.networks[claim.network].giving
        for avoid in (set(self.freed), set[int]()):
            free = (
                address
                for address in walk(spans)
                if not {address, address + 1} & (self.taken.keys() | avoid)
                and self._why_not(claim, address + 1) is None
            )
            first = next(free, None)
            if first is not None:
                return first
        return None

    def _is_adjacent(self, claim: Claim, address: int) -> bool:
        partner = self.outcome.given.get(claim.follows) if claim.follows else None
        return partner is None or abs(partner - address) == 1

    def _next(self, claim: Claim) -> int | None:
        key = (claim.network, claim.place)
        if key not in self.sources:
            self.sources[key] = self._source(self.networks[claim.network], claim.place)
        return next((address for address in self.sources[key] if address not in self.taken), None)

    def _source(self, network: Network, place: str) -> Iterator[int]:
        """Yield candidates: never used ones from the lowest, then freed ones from the longest unused."""
        spans = network.giving if place == "pool" else self._outside(network)
        freed = frozenset(self.freed)
        for address in walk(spans):
            if address not in freed:
                yield address
        for address in self.freed:
            if any(address in span for span in spans):
                yield address

    def _outside(self, network: Network) -> list[AddressRange]:
        """Return what lies outside every pool: behind the network's last pool first, as people lay it out."""
        pools = [span for other in self.networks for pool in other.pools if (span := pool.span)]
        spans = without(network.usable, [*pools, *(span for other in self.networks for span in other.dhcp)])
        end = max((span.last for span in network.giving), default=network.usable.first)
        return [part for part in spans if part.first > end] + [part for part in spans if part.first <= end]

    def _give(self, claim: Claim, address: int) -> None:
        self.taken.setdefault(address, claim.owner)
        self.outcome.given[claim.owner] = address
