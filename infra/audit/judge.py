"""What is left on a host, missing there, in our way, unexplained or kept. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from infra.audit.marks import Claimed, Marks, Part
from infra.audit.model import Item, Kind, Object, Observed, Place, Scope
from infra.audit.view import FOLDER
from infra.kvm.claim import TAKE_OVER, claim_file

_COMES_AND_GOES: Final = frozenset({"process", "group"})
"""Kinds that change by themselves on a host that people use: compared only where that is asked for."""

_STAYS: Final = (
    r"dnsmasq /var/lib/libvirt/dnsmasq/virbr[0-9]+\.(?:status|macs)",
    r"nftables ip6? (?:filter|nat|mangle)",  # libvirt's firewall chains, emptied
    r"file /var/lib/azlocal/ci\.lease",  # who has the host for a run of a pipeline (infra/stack/ci/host_lease.py)
    # A login's own: what our shells are made of (infra/ssh/command_loop.py), some of it a moment after its end.
    r"process (?:sshd|sftp-server|virt-ssh-helper|nc|sh|bash|cat|head|find|ps|timeout|sudo)",
)
_FOLDERS_THAT_STAY: Final = re.compile(r"/(?:etc|var/lib)/libvirt(?:/|$)")  # libvirt's own, empty
_STAYING: Final = re.compile("|".join(_STAYS))
_REACHES: Final = {"domain": ("libvirt", "containers"), "network": ("libvirt",), "pool": ("libvirt",)}
"""What must have been looked at before something of a kind is missed."""


def judge(scope: Scope, observed: Observed, *, strict: bool = False) -> Place:
    """Return what an audit says of a host.

    Args:
        scope: What of the instance is to stand there.
        observed: What stands there.
        strict: Whether what comes and goes by itself is compared with the inventory, too.
    """
    marks = Marks(scope, observed)
    claims = {thing: marks.of(thing) for thing in observed.objects}
    is_ours = not observed.claim or scope.owners is None or observed.claim in scope.owners
    items = [
        *(_leftovers(scope, claims.items()) if is_ours else [_claimed(scope, observed)]),
        *_missing(scope, marks, observed),
        *_foreign(scope, marks, observed),
        *_difference(marks, observed, claims, strict=strict),
    ]
    inventory = observed.inventory
    return Place(
        scope.host,
        tuple(sorted(set(items), key=lambda item: (item.verdict, item.kind, item.name))),
        observed.count,
        observed.unseen,
        since=inventory.taken if inventory else "",
    )


def compared(observed: Observed) -> Iterator[Object]:
    """Yield the objects that an inventory is compared with; what changes by itself on any host isn't."""
    return (
        thing
        for thing in observed.objects
        if not _STAYING.fullmatch(f"{thing.kind} {thing.name}")
        and not (thing.evidence == FOLDER and _FOLDERS_THAT_STAY.match(thing.name))
    )


def is_wanted(scope: Scope, part: Part) -> bool:
    """Return whether a part of the instance is to stand on a host."""
    kind, name = part
    if kind == "machine":
        return name in scope.machines
    return scope.stands if kind == "instance" else name in scope.networks


def _leftovers(scope: Scope, claims: Iterable[tuple[Object, Claimed | None]]) -> Iterator[Item]:
    for thing, claimed in claims:
        if claimed is None or is_wanted(scope, claimed.part):
            continue
        note = _note(thing) if claimed.is_certain else "by its name"
        yield Item("leftover", thing.kind, thing.name, note, claimed.is_certain)


def _claimed(scope: Scope, observed: Observed) -> Item:
    note = (
        f"another state has {scope.instance} there, that of {observed.claimed_by}; its objects aren't listed. If "
        f"that state is lost and all of it may go: {TAKE_OVER}={observed.claim} azlocal audit {scope.stack} "
        "--clean"
    )
    return Item("foreign", "file", claim_file(scope.directory), note)


def _missing(scope: Scope, marks: Marks, observed: Observed) -> Iterator[Item]:
    there = {(thing.kind, thing.name) for thing in observed.objects if marks.of(thing) is not None}
    wanted: list[tuple[Kind, str]] = [
        *(("domain", name) for name in sorted(scope.machines)),
        *(("network", name) for name in sorted(scope.networks)),
    ]
    if scope.stands:
        wanted.append(("pool", f"azlocal-{scope.instance}"))
    for kind, name in wanted:
        is_seen = observed.unseen.keys().isdisjoint(_REACHES[kind])
        if is_seen and (kind, name) not in there:
            yield Item("missing", kind, name, "state says that it stands")
    if "storage" not in observed.unseen and scope.stands and ("file", scope.directory) not in there:
        yield Item("missing", "file", scope.directory, "the instance's folder")


def _foreign(scope: Scope, marks: Marks, observed: Observed) -> Iterator[Item]:
    for thing in observed.objects:
        if marks.is_in_our_way(thing):
            other = marks.other_instance(thing)
            whose = f"of instance {other}" if other else f"not made by {scope.instance}"
            yield Item("foreign", thing.kind, thing.name, f"{whose}, and {scope.instance} needs the name")
        elif thing.name.startswith(f"{scope.directory}/") and marks.of(thing) is None:
            yield Item("foreign", thing.kind, thing.name, f"in {scope.instance}'s folder, not made by azlocal")


def _difference(
    marks: Marks, observed: Observed, claims: dict[Object, Claimed | None], *, strict: bool
) -> Iterator[Item]:
    inventory = observed.inventory
    if inventory is None:
        return
    for thing in compared(observed):
        if inventory.has(thing) or claims[thing] is not None:
            continue
        if thing.kind == "package":
            yield Item("kept", "package", thing.name, "installed since the inventory")
        elif (strict or thing.kind not in _COMES_AND_GOES) and not marks.other_instance(thing):
            yield Item("unexplained", thing.kind, thing.name, "came since the inventory, and carries no mark")


def _note(thing: Object) -> str:
    """Return what helps to find an object: a process by its number."""
    return f"process {thing.evidence.split()[0]}" if thing.kind == "process" else ""


def counts(items: Iterable[Item]) -> dict[str, int]:
    """Return how many items have each verdict."""
    return dict(Counter(item.verdict for item in items))
