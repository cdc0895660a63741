"""Free what the lock files hold for an instance that is gone, or for parts of one: all, or the reason why not.

What a stack's file still asks for stays: its next plan would take the same address again, and an address that is
free for a while is one that somebody else may get.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import filter as filter_names
from pathlib import Path

from infra.plan.addresses.lock import VrrpId
from infra.plan.addresses.numbers import address_text
from infra.plan.instance import plan_instance
from infra.plan.inventory import BRIDGE, OF_A_CLUSTER
from infra.plan.locks import Locks, SiteLocks
from infra.plan.placement.lock import natural
from infra.spec import Finding, InstanceSpec, SpecError, load_instance
from infra.spec.findings import shown
from infra.spec.machine_names import spellings
from infra.spec.reading import LOCK_ENDING

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The names to free: of addresses, of machines with places, of VRRP ids; all as the plan has them."""

    addresses: frozenset[str]
    machines: frozenset[str]
    vrrp: frozenset[str]

    def freed(self, locks: Locks, stack: str) -> Locks:
        addresses = locks.addresses.release(stack, self.addresses, vrrp=self.vrrp)
        return Locks(addresses, locks.placement.release(stack, self.machines))

    def without(self, other: "_Chosen") -> "_Chosen":
        return _Chosen(self.addresses - other.addresses, self.machines - other.machines, self.vrrp - other.vrrp)

    def __bool__(self) -> bool:
        return bool(self.addresses or self.machines or self.vrrp)


@dataclass(frozen=True, slots=True)
class Part:
    """What is freed at one site.

    Attributes:
        site: The site.
        chosen: The names.
        addresses: Address and owner, in order, as they are shown.
    """

    site: str
    chosen: _Chosen
    addresses: tuple[tuple[str, str], ...]

    @property
    def vrrp_count(self) -> int:
        """Return how many VRRP ids are freed."""
        return len(self.chosen.vrrp)

    @property
    def machine_count(self) -> int:
        """Return how many machines' places are freed."""
        return len(self.chosen.machines)


@dataclass(frozen=True, slots=True)
class Release:
    """What is freed, and what of the chosen names stays.

    Attributes:
        stack: The instance.
        parts: What is freed, by site.
        kept: Names that stay, because the stack's file still asks for them.
    """

    stack: str
    parts: tuple[Part, ...]
    kept: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Return why names stay; empty where none does."""
        if not self.kept:
            return ""
        more = f" and {len(self.kept) - _MOST_NAMED} more" if len(self.kept) > _MOST_NAMED else ""
        names = ", ".join(self.kept[:_MOST_NAMED])
        return f"Pulumi.{self.stack}.yaml still asks for {names}{more}, and its next plan would take them again"


def plan_release(directory: Path, stack: str, patterns: Sequence[str]) -> Release:
    """Return what would be freed.

    Args:
        directory: The project's folder.
        stack: The instance.
        patterns: Names of the plan or of machines, shell patterns of them, or clusters, which stand for all that
            they have; none is everything.

    Raises:
        SpecError: A lock can't be read, no lock knows the instance or the names, or the stack's file still asks
            for all of them.
    """
    stack_file = f"Pulumi.{stack}.yaml"
    is_there = (directory / stack_file).exists()
    spec = load_instance(stack, directory) if is_there else None
    known: set[str] = set()
    parts: list[Part] = []
    still_wanted: list[str] = []
    names: set[str] = set()
    freed: set[str] = set()
    for site in _sites(directory):
        if spec is not None and spec.site == site and not patterns:
            continue  # all of it is the stack's, which is there
        locks = SiteLocks(directory, site).read()
        names |= locks.addresses.of_instance(stack).keys()
        freed |= _freed_of(locks, stack)
        placed = (name.partition("/")[0] for name in locks.placement.machines)
        known.update(locks.addresses.instances, placed)
        chosen = _chosen(locks, stack, patterns)
        if spec is not None and spec.site == site:
            wanted = chosen
            chosen = _without_wanted(spec, locks, chosen)
            stays = wanted.without(chosen)
            still_wanted += sorted((stays.addresses | stays.machines | stays.vrrp) - chosen.addresses, key=natural)
        if chosen:
            parts.append(Part(site, chosen, _shown(locks, stack, chosen)))
    release = Release(stack, tuple(parts), tuple(dict.fromkeys(still_wanted)))
    if parts:
        return release
    if still_wanted:
        remedy = f"remove them from {stack_file} first, or give them other addresses there"
        raise _refusal("still-asked-for", stack_file, release.reason, remedy)
    if is_there and not patterns:
        message = f"{stack_file} is still there: its next plan would take the addresses again"
        raise _refusal("stack-exists", stack_file, message, "remove the file first, or name what to free")
    raise _nothing(stack, patterns, known, names, freed)


def _freed_of(locks: Locks, stack: str) -> set[str]:
    """Return the names whose addresses the instance had, and which are free."""
    start = f"{stack}/"
    return {
        address.was.removeprefix(start)
        for address in locks.addresses.freed.values()
        if address.was.startswith(start)
    }


def _nothing(stack: str, patterns: Sequence[str], known: set[str], names: set[str], freed: set[str]) -> SpecError:
    """Say that nothing is freed: it is free already, or no lock file knows the instance, or the names."""
    named = ", ".join(map(shown, patterns))
    texts = [spelling for pattern in patterns for spelling in spellings(pattern, stack)]
    if freed and (
        not patterns or any(filter_names(sorted(freed), text) or _members(text, freed) for text in texts)
    ):
        what = f"what {named} of {shown(stack)} had" if patterns else f"what {shown(stack)} had"
        return _refusal("nothing-to-free", "netplans", f"{what} is free already", "nothing is left to do")
    message = f"no lock file knows {f'{named} of ' if patterns else ''}{shown(stack)}"
    remedy = f"they know: {', '.join(sorted(known)) or 'nobody'}"
    if patterns and names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        remedy = f"they know of {stack}: {', '.join(sorted(names, key=natural)[:_MOST_NAMED])}{more}"
    return _refusal("nothing-to-free", "netplans", message, remedy)


def carry_out(release: Release, directory: Path) -> None:
    """Free it in the lock files; the addresses are used again last.

    Raises:
        SpecError: A lock can't be read or written.
    """
    for part in release.parts:
        with SiteLocks(directory, part.site).update() as update:
            update.lock = part.chosen.freed(update.lock, release.stack)


def _sites(directory: Path) -> list[str]:
    sites = {
        path.name.removesuffix(LOCK_ENDING)
        for folder in ("netplans", "hosts")
        for path in (directory / folder).glob(f"*{LOCK_ENDING}")
    }
    return sorted(sites)


def _chosen(locks: Locks, stack: str, patterns: Sequence[str]) -> _Chosen:
    start = f"{stack}/"
    addresses, machines = set(locks.addresses.of_instance(stack)), set(locks.placement.of_instance(stack))
    vrrp = {owner.removeprefix(start) for owner in locks.addresses.vrrp if owner.startswith(start)}
    named = addresses | machines | vrrp
    if patterns:
        texts = [spelling for pattern in patterns for spelling in spellings(pattern, stack)]
        named = {name for text in texts for name in (*filter_names(sorted(named), text), *_members(text, named))}
    return _Chosen(frozenset(addresses & named), frozenset(machines & named), frozenset(vrrp & named))


def _members(text: str, names: Iterable[str]) -> list[str]:
    """Return the names that a cluster has, or else a pool, a control plane or the bridge.

    Pools' names have no hyphen, so that `a-b-cp-0` isn't taken for one of cluster a; and cluster a-b goes before a
    pool b of cluster a.
    """
    rests = {name: name.removeprefix(f"{text}-") for name in names if name.startswith(f"{text}-")}
    of_cluster = [name for name, rest in rests.items() if OF_A_CLUSTER.fullmatch(rest)]
    numbered = [name for name, rest in rests.items() if rest.isdecimal()]
    return [*of_cluster, *numbered] if text == BRIDGE else of_cluster or numbered


def _without_wanted(spec: InstanceSpec, locks: Locks, chosen: _Chosen) -> _Chosen:
    """Return the names without those that the next plan would take again, and without machines that stay."""
    while True:
        again = _taken_again(spec, locks, chosen)
        if not again:
            return chosen
        chosen = chosen.without(again)


def _taken_again(spec: InstanceSpec, locks: Locks, chosen: _Chosen) -> _Chosen:
    plan = plan_instance(spec, chosen.freed(locks, spec.name))
    taken = {
        (allocation.owner, allocation.value)
        for network in plan.addresses.networks
        for allocation in network.allocations
    }
    had = locks.addresses.of_instance(spec.name)
    ids = {vrrp_id.owner: VrrpId(vrrp_id.vlan, vrrp_id.id) for vrrp_id in plan.addresses.vrrp_ids}
    return _Chosen(
        frozenset(name for name in chosen.addresses if (name, had[name]) in taken),
        frozenset(chosen.machines & plan.placement.hosts.keys()),
        frozenset(name for name in chosen.vrrp if ids.get(name) == locks.addresses.vrrp[f"{spec.name}/{name}"]),
    )


def _shown(locks: Locks, stack: str, chosen: _Chosen) -> tuple[tuple[str, str], ...]:
    after = chosen.freed(locks, stack).addresses.given
    gone = sorted(locks.addresses.given.keys() - after.keys())
    return tuple((address_text(address), locks.addresses.given[address].owner) for address in gone)


def _refusal(rule: str, path: str, message: str, remedy: str) -> SpecError:
    return SpecError([Finding(rule, "error", path, message, remedy)])
