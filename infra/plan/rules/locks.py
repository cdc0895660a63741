"""Lock files that have to stay as they are (`--frozen`): a change of one is an error, its absence a warning."""

from collections.abc import Iterator

from infra.counting import counted
from infra.plan.addresses import Lock
from infra.plan.locks import LockKind
from infra.plan.rules.base import Facts, Fault, rule

_Change = tuple[LockKind, str, str]
"""A lock file that would change, how, and what it would hold."""


@rule("lock-frozen", source="azlocal", part="locks")
def lock_frozen(facts: Facts) -> Iterator[Fault]:
    """With --frozen, as in CI, no plan changes a lock file that is there."""
    for lock, changes, _ in _changes(facts):
        if facts.recording and lock not in facts.recording.absent:
            message = f"the plan changes the lock: {changes}; --frozen forbids it"
            remedy = "run `azlocal plan` on your machine, review the lock's diff and commit it"
            yield Fault(lock, (), message, remedy)


@rule("lock-missing", source="azlocal", severity="warning", part="locks")
def lock_missing(facts: Facts) -> Iterator[Fault]:
    """With --frozen, as in CI, there is a lock file to hold what a plan decides."""
    for lock, _, held in _changes(facts):
        if facts.recording and lock in facts.recording.absent:
            message = f"there is no lock file, so nothing holds {held}"
            remedy = "run `azlocal plan` on your machine and commit the lock file"
            yield Fault(lock, (), message, remedy)


def _changes(facts: Facts) -> Iterator[_Change]:
    if facts.recording is None:
        return
    before, after = facts.locks, facts.recording.after
    if after.addresses != before.addresses:
        yield "addressLock", _address_changes(before.addresses, after.addresses), "these addresses"
    hosts, hosts_after = before.placement.hosts(), after.placement.hosts()
    if hosts_after != hosts:
        yield "placementLock", _place_changes(hosts, hosts_after), "machines on their hosts"


def _address_changes(before: Lock, after: Lock) -> str:
    added = len(after.given.keys() - before.given.keys())
    freed = len(before.given.keys() - after.given.keys())
    ids = len(after.vrrp.items() ^ before.vrrp.items())
    more = f", {counted(ids, 'VRRP id')} changed" if ids else ""
    return f"{counted(added, 'address')} given out, {freed} freed{more}"


def _place_changes(before: dict[str, str], after: dict[str, str]) -> str:
    added, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    moved = sum(before[name] != after[name] for name in before.keys() & after.keys())
    return f"{counted(added, 'machine')} placed, {moved} moved, {gone} gone"
