"""What differs from an older plan, line by line."""

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address

from infra.addresses.diff import KINDS, Change, Changes, Kind
from infra.addresses.effects import EFFECTS, Effect, EffectKind, Effects
from infra.addresses.report.looks import LOOKS
from infra.addresses.report.runs import Run, continues
from infra.addresses.report.words import plural


def changes_line(changes: Changes) -> str:
    """Say in a line what differs."""
    counts = [(kind, len(changes.of(kind))) for kind in KINDS]
    said = [f"{count:,} {kind}" for kind, count in counts if count]
    said += [plural(len(changes.networks), "difference") + " of networks"] if changes.networks else []
    machines = Counter(one.kind for one in changes.effects.machines)
    said += [f"{plural(machines[kind], 'machine')} {kind}" for kind in EFFECTS if machines[kind]]
    clusters = Counter(one.kind for one in changes.effects.clusters)
    said += [f"{plural(clusters[kind], 'cluster')} {kind}" for kind in EFFECTS if clusters[kind]]
    if not said and changes.effects.untold:
        return f"against {changes.against}: no difference of addresses; {untold_line(changes.effects)}"
    return f"against {changes.against}: {', '.join(said) or 'no difference'}"


def untold_line(effects: Effects) -> str:
    """Say that what becomes of machines can't be told, and why; empty where it can."""
    return f"what becomes of machines isn't told: {effects.untold}" if effects.untold else ""


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One line of what becomes of machines or a cluster: the kind, whose, the reason, and what to know of it."""

    kind: EffectKind
    names: str
    why: str
    then: str


def effect_rows(effects: Effects) -> list[EffectRow]:
    """Return a row for each cluster, then for machines; those that share kind and reason are one row."""
    rows = [EffectRow(one.kind, f"cluster {one.name}", one.why, one.then) for one in effects.clusters]
    groups: dict[tuple[str | None, EffectKind, str], list[Effect]] = {}
    for one in effects.machines:
        groups.setdefault((one.cluster, one.kind, one.why), []).append(one)
    for (_, kind, why), members in groups.items():
        rows.append(EffectRow(kind, _names([one.name for one in members]), why, members[0].then))
    return rows


def _names(names: list[str]) -> str:
    """Write names that differ in their last number as a run: `a-nodepool1-0 to 4`."""
    heads = {name.rpartition("-")[0] for name in names}
    numbers = [name.rpartition("-")[2] for name in names]
    if len(names) > 2 and len(heads) == 1 and all(number.isdigit() for number in numbers):
        ordered = sorted(int(number) for number in numbers)
        if ordered == list(range(ordered[0], ordered[-1] + 1)):
            return f"{heads.pop()}-{ordered[0]} to {ordered[-1]}"
    return ", ".join(names)


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One line of what differs: the kind, the addresses, the owner and the reason."""

    kind: Kind
    place: str
    owner: str
    why: str


def change_rows(changes: Changes) -> list[ChangeRow]:
    """Return a row for each change; what joins a group for one reason is one row."""
    rows: list[ChangeRow] = []
    for kind in KINDS:
        for group in _alike(changes.of(kind)):
            first = group[0]
            run = Run(first.one.value, group[-1].one.value, tuple(one.one for one in group))
            place = f"{first.before} → {run.addresses}" if kind == "moved" else run.addresses
            why = f"{LOOKS[first.one.use].label}: {first.why}"
            if kind == "changed":
                why += f" (was {next(look.label for use, look in LOOKS.items() if use == first.before)})"
            rows.append(ChangeRow(kind, place, run.owner, why))
    return rows


def _alike(changes: list[Change]) -> list[list[Change]]:
    """Group neighbours that came or went together; what moved or changed stays alone."""
    result: list[list[Change]] = []
    for change in changes:
        last = result[-1][-1] if result else None
        is_more = last is not None and change.why == last.why and continues(last.one, change.one)
        if is_more and change.kind in {"added", "removed"}:
            result[-1].append(change)
        else:
            result.append([change])
    return result


def change_notes(changes: Changes) -> dict[int, str]:
    """Return what to say at each address where something differs; what is there now goes first."""
    notes: dict[int, str] = {}
    for one in changes.changes:
        if one.kind == "added":
            notes[one.one.value] = f"added: {one.why}"
        elif one.kind == "moved":
            notes[one.one.value] = f"moved from {one.before}: {one.why}"
        elif one.kind == "changed":
            notes[one.one.value] = f"changed: was {one.before}"
    for one in changes.of("removed"):
        notes.setdefault(one.one.value, f"removed: {one.one.owner}: {one.why}")
    for one in changes.of("moved"):
        notes.setdefault(int(IPv4Address(one.before or "")), f"{one.one.owner} moved to {one.one.address}")
    return notes
