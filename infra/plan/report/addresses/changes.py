"""What differs from an older plan, line by line."""

from collections import Counter
from dataclasses import dataclass

from infra.counting import counted
from infra.plan.addresses.diff import KINDS, Change, Changes, Kind
from infra.plan.effects import EFFECTS, Effect, EffectKind, Effects
from infra.plan.report.addresses.runs import Run, continues
from infra.plan.report.looks import LOOKS


def changes_line(changes: Changes) -> str:
    """Say in a line what differs."""
    counts = [(kind, len(changes.of(kind))) for kind in KINDS]
    parts = [f"{count:,} {kind}" for kind, count in counts if count]
    parts += [counted(len(changes.networks), "difference") + " of networks"] if changes.networks else []
    machines = Counter(effect.kind for effect in changes.effects.machines)
    parts += [f"{counted(machines[kind], 'machine')} {kind}" for kind in EFFECTS if machines[kind]]
    clusters = Counter(effect.kind for effect in changes.effects.clusters)
    parts += [f"{counted(clusters[kind], 'cluster')} {kind}" for kind in EFFECTS if clusters[kind]]
    hosts = Counter(effect.kind for effect in changes.effects.hosts)
    parts += [f"{counted(hosts[kind], 'host')} {kind}" for kind in EFFECTS if hosts[kind]]
    if not parts and changes.effects.untold:
        return f"against {changes.against}: no difference of addresses; {untold_line(changes.effects)}"
    return f"against {changes.against}: {', '.join(parts) or 'no difference'}"


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
    """Return rows for hosts and clusters, then for machines; those that share kind and reason are one row."""
    alike: dict[tuple[EffectKind, str, str], list[str]] = {}
    for effect in effects.hosts:
        alike.setdefault((effect.kind, effect.why, effect.then), []).append(effect.name)
    rows = [EffectRow(kind, f"host {', '.join(names)}", why, then) for (kind, why, then), names in alike.items()]
    rows += [
        EffectRow(cluster.kind, f"cluster {cluster.name}", cluster.why, cluster.then)
        for cluster in effects.clusters
    ]
    groups: dict[tuple[str | None, EffectKind, str], list[Effect]] = {}
    for effect in effects.machines:
        groups.setdefault((effect.cluster, effect.kind, effect.why), []).append(effect)
    for (_, kind, why), members in groups.items():
        rows.append(EffectRow(kind, _names([member.name for member in members]), why, members[0].then))
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
            run = Run(first.one.value, group[-1].one.value, tuple(change.one for change in group))
            place, why = run.addresses, f"{LOOKS[first.one.use].label}: {first.why}"
            if first.before is not None and kind == "moved":
                place = f"{first.before.address} → {place}"
            elif first.before is not None:
                why += f" (was {LOOKS[first.before.use].label})"
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
    for change in changes.changes:
        if change.kind == "added":
            notes[change.one.value] = f"added: {change.why}"
        elif change.before is not None and change.kind == "moved":
            notes[change.one.value] = f"moved from {change.before.address}: {change.why}"
        elif change.before is not None:
            notes[change.one.value] = f"changed: was {change.before.use}"
    for change in changes.of("removed"):
        notes.setdefault(change.one.value, f"removed: {change.one.owner}: {change.why}")
    for change in changes.of("moved"):
        if change.before is not None:
            notes.setdefault(change.before.value, f"{change.one.owner} moved to {change.one.address}")
    return notes
