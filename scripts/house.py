"""`make house`: draws docs/house.svg, and the list of rooms in docs/architecture.md, from what the code imports.

A room is a folder or a module of infra/. Floors follow from the imports: each room is above all that it imports,
and a circle of rooms is an error. An arrow is left out where a longer way down implies it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final

import grimp  # import-linter's own

ROOT: Final = Path(__file__).resolve().parent.parent
PICTURE: Final = ROOT / "docs" / "house.svg"
TEXT: Final = ROOT / "docs" / "architecture.md"
_BEGIN, _END = "<!-- rooms: make house -->", "<!-- rooms end -->"
_CODE: Final = ROOT / "infra"

Rooms = Mapping[str, frozenset[str]]
"""What each room imports."""

_CHARACTER, _HEIGHT, _GAP, _FLOOR, _WIDTH = 7.4, 26, 14, 62, 1040
_STYLE: Final = """
    rect { fill: #eef4fb; stroke: #0969da } .module { fill: #f6f8fa; stroke: #57606a }
    text { fill: #1f2328; text-anchor: middle } path { stroke: #8c959f; fill: none; marker-end: url(#arrow) }
    @media (prefers-color-scheme: dark) {
      rect { fill: #0d1d30; stroke: #58a6ff } .module { fill: #161b22; stroke: #8b949e } text { fill: #e6edf3 }
    }
"""


def imports() -> Rooms:
    """Return the rooms of infra/, each with those that it imports."""
    graph = grimp.build_graph("infra", cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in graph.modules - {"infra"}:
        room = _room(module)
        imported = map(_room, graph.find_modules_directly_imported_by(module))
        found.setdefault(room, set()).update(other for other in imported if other not in ("", room))
    return {room: frozenset(found[room]) for room in sorted(found)}


def floors(rooms: Rooms) -> list[list[str]]:
    """Return the rooms of each floor, the lowest first.

    Raises:
        ValueError: rooms import each other in a circle.
    """
    height: dict[str, int] = {}
    while len(height) < len(rooms):
        ready = {room for room in rooms if room not in height and rooms[room] <= height.keys()}
        if not ready:
            raise ValueError(
                f"these import each other in a circle: {', '.join(sorted(rooms.keys() - height.keys()))}"
            )
        number = max(height.values(), default=-1) + 1
        height |= dict.fromkeys(ready, number)
    found: list[list[str]] = [[] for _ in range(max(height.values()) + 1)]
    for room in rooms:
        found[height[room]].append(room)
    return found


def arrows(rooms: Rooms) -> Iterator[tuple[str, str]]:
    """Yield who imports whom, unless what it imports besides leads there, too."""
    below = {room: _below(room, rooms) for room in rooms}
    for room, others in rooms.items():
        for other in sorted(others):
            if not any(other in below[third] for third in others):
                yield room, other


def draw(rooms: Rooms) -> str:
    """Return the picture."""
    drawn = list(arrows(rooms))
    places = _places(floors(rooms), drawn)
    height = _FLOOR * len(floors(rooms)) + _GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-size="13" role="img" '
        'font-family="ui-monospace, monospace" aria-label="The rooms of infra, each above those that it imports">',
        f"  <style>{_STYLE}  </style>",
        '  <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0 8 4 0 8z" style="fill:#8c959f;stroke:none;marker-end:none"/></marker></defs>',
    ]
    for room, other in drawn:
        (x, y), (to_x, to_y) = places[room], places[other]
        start, end = y + _HEIGHT, to_y - 1
        middle = (start + end) / 2
        curve = f"M{x:.0f} {start:.0f}C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {end:.0f}"
        lines.append(f'  <path data-from="{room}" data-to="{other}" d="{curve}"/>')
    for room, (x, y) in places.items():
        kind = "" if (_CODE / room).is_dir() else ' class="module"'
        lines.append(
            f'  <g><title>{escape(purpose(room))}</title><rect{kind} x="{x - _width(room) / 2:.0f}" y="{y:.0f}" '
            f'width="{_width(room):.0f}" height="{_HEIGHT}" rx="5"/>'
            f'<text x="{x:.0f}" y="{y + 18:.0f}">{escape(room)}</text></g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def listed(rooms: Rooms) -> str:
    """Return the list of rooms, the highest floor first."""
    rows = ["| room | what it is |", "|---|---|"]
    for floor in reversed(floors(rooms)):
        rows += [f"| `{room}` | {purpose(room)} |" for room in floor]
    return "\n".join(rows)


def with_rooms(text: str, rooms: Rooms) -> str:
    """Return the document with a new list of rooms."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{listed(rooms)}\n{_END}{rest.partition(_END)[2]}"


def purpose(room: str) -> str:
    """Return the first sentence of a room's docstring."""
    folder, module = _CODE / room / "__init__.py", _CODE / f"{room}.py"
    text = ast.get_docstring(ast.parse((folder if folder.is_file() else module).read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _below(room: str, rooms: Rooms) -> set[str]:
    return {other for one in rooms[room] for other in (one, *_below(one, rooms))}


def _width(room: str) -> float:
    return len(room) * _CHARACTER + 18


def _places(floors: list[list[str]], drawn: Iterable[tuple[str, str]]) -> dict[str, tuple[float, float]]:
    """Return the middle of each room's upper edge: on its floor in the order of those that import it."""
    above: dict[str, list[str]] = {}
    for room, other in drawn:
        above.setdefault(other, []).append(room)
    places: dict[str, tuple[float, float]] = {}

    def wanted(room: str) -> tuple[float, str]:
        places_above = [places[one][0] for one in above.get(room, ())]
        return (sum(places_above) / len(places_above) if places_above else _WIDTH / 2), room

    for number, floor in enumerate(reversed(floors)):
        gap = (_WIDTH - sum(map(_width, floor))) / (len(floor) + 1)
        x = 0.0
        for room in sorted(floor, key=wanted):
            places[room] = x + gap + _width(room) / 2, _GAP + number * _FLOOR
            x += gap + _width(room)
    return places


def main() -> None:
    """Draw and list."""
    rooms = imports()
    PICTURE.write_text(draw(rooms), encoding="utf-8")
    TEXT.write_text(with_rooms(TEXT.read_text(encoding="utf-8"), rooms), encoding="utf-8")
    count = sum(map(len, rooms.values()))
    sys.stdout.write(f"docs/house.svg, docs/architecture.md: {len(rooms)} rooms, {count} imports between them\n")


if __name__ == "__main__":
    main()
