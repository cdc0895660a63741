"""What differs from an older plan, line by line."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from infra.addresses.diff import KINDS, Change, Changes, Kind
from infra.addresses.report.looks import LOOKS
from infra.addresses.report.runs import Run, continues
from infra.addresses.report.words import plural


def changes_line(changes: Changes) -> str:
    """Say in a line what differs."""
    counts = [(kind, len(changes.of(kind))) for kind in KINDS]
    said = [f"{count:,} {kind}" for kind, count in counts if count]
    said += [plural(len(changes.networks), "difference") + " of networks"] if changes.networks else []
    return f"against {changes.against}: {', '.join(said) or 'no difference'}"


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
