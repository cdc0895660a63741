"""The placement as one SVG picture: hosts as columns, machines as blocks as high as their memory.

Colour is never the only channel: a block has its name, and a title with all there is to say; what is held or stays
free is striped. Follows the reader's light or dark mode.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby

from lxml import etree

from infra.plan.addresses.plan import Use
from infra.plan.instance import Plan
from infra.plan.placement.loss import Loss, every_loss
from infra.plan.placement.plan import Placed, Placement, gib, memory_of
from infra.plan.report.looks import LOOKS
from infra.plan.report.markup import add, fit
from infra.plan.report.placement.view import Column, build_columns, loss_line, survives, title, use_of, verdict

_WIDTH = 1080
_MARGIN = 24
_LOW, _HIGH = 380, 900  # of the columns: as high as the smallest machine needs for its name, within these
_HEAD = 34
_GAP = 8
_WIDEST = 190
_LEAST_BLOCK = 13  # lower ones of a set are drawn as one
_LETTER = 6.3
_LISTED = 12
_ROLES: tuple[Use, ...] = (
    "resourceBridgeNode",
    "controlPlaneNode",
    "workerNode",
    "upgradeSpare",
    "resourceBridgeSpare",
)


@dataclass(frozen=True, slots=True)
class Block:
    """One machine, or several of a set that are too low to be drawn apart.

    Attributes:
        machines: The machines.
        kind: `machine`, `held` or `restarted`.
    """

    machines: tuple[Placed, ...]
    kind: str

    @property
    def name(self) -> str:
        """Return its name: the machine's, or the set's with a count."""
        first = self.machines[0].machine
        return first.owner if len(self.machines) == 1 else f"{first.availability_set} x{len(self.machines)}"

    @property
    def text(self) -> str:
        """Say all there is to say of its machines."""
        return "\n".join(
            f"{placed.machine.owner} · {placed.machine.size.name}, {gib(placed.machine.memory_mib)} GiB"
            f" · {placed.why}"
            for placed in self.machines
        )


def render_svg(plan: Plan, losses: Sequence[Loss]) -> str:
    """Return the picture; with one loss, as things are after it."""
    svg = draw(plan, losses)
    for group in svg.iter("svg", "g"):
        for child in group:
            child.tail = "\n"  # a line a shape, so that a diff of two pictures can be read
    text: str = etree.tostring(svg, encoding="unicode")
    return text + "\n"


def draw(plan: Plan, losses: Sequence[Loss]) -> etree._Element:
    """Return the picture as an element that can stand in a page, too."""
    placement = plan.placement
    svg = etree.Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    svg.set("class", "placement")
    columns = build_columns(placement, losses)
    verdicts = {loss.host: loss for loss in every_loss(placement)}
    _head(svg, plan, losses)
    height, scale = _scale(columns)
    width = min(_WIDEST, (_WIDTH - 2 * _MARGIN + _GAP) / max(1, len(columns)) - _GAP)
    bottom = 106 + height
    for index, column in enumerate(columns):
        x = _MARGIN + index * (width + _GAP)
        _column(add(svg, "g"), column, x, bottom, width, scale)
        if len(losses) != 1:
            _foot(svg, verdicts[column.room.name], x + width / 2, bottom, width)
    y = bottom + 58
    if len(losses) != 1:
        legend = "Under a host: whether its machines fit elsewhere if it is lost, and what is down until then."
        _text(svg, _MARGIN, y, legend, "soft small")
        y += 22
    y = _moves(svg, placement, y)
    y = _legend(svg, y)
    svg.set("viewBox", f"0 0 {_WIDTH} {y:.0f}")
    svg.set("width", str(_WIDTH))
    svg.set("height", f"{y:.0f}")
    svg.set("aria-label", fit(f"Placement {verdict(plan)}; {title(placement)}"))
    return svg


def _head(svg: etree._Element, plan: Plan, losses: Sequence[Loss]) -> None:
    css = files(__package__).joinpath("files", "placement.css").read_text(encoding="utf-8")
    colours = "".join(
        f".placement .u-{LOOKS[use].letter}{{fill:{LOOKS[use].fill}}} "
        f".placement .i-{LOOKS[use].letter}{{fill:{LOOKS[use].ink}}}\n"
        for use in _ROLES
    )
    add(svg, "title", f"Placement {plan.instance}")
    add(svg, "style", css + colours)
    definitions = add(svg, "defs")
    for name, colour, opacity in (("reserve", "#8c959f", 0.45), ("stripes", "#ffffff", 0.4)):
        pattern = add(
            definitions, "pattern", id=name, width=7, height=7,
            patternUnits="userSpaceOnUse", patternTransform="rotate(45)",
        )  # fmt: skip
        add(pattern, "rect", width=2, height=7, fill=colour, fill_opacity=opacity)
    add(svg, "rect", class_="page", width="100%", height="100%", rx=10)
    _text(svg, _MARGIN, 40, _cut(f"Placement {plan.instance}", 900), "h1")
    is_sound = plan.is_sound("placement")
    mark = "\N{CHECK MARK}" if is_sound else "\N{BALLOT X}"
    _text(svg, _MARGIN, 62, f"{mark} {verdict(plan)} · {title(plan.placement)}", "good" if is_sound else "bad")
    if len(losses) == 1:
        line = f"without {losses[0].host}: {loss_line(losses[0])}"
        _text(svg, _MARGIN, 80, _cut(line, _WIDTH - 2 * _MARGIN), "good" if survives(losses[0]) else "bad")


def _scale(columns: Sequence[Column]) -> tuple[float, float]:
    """Return the columns' height, and pixels a MiB: the fullest or largest host is that high."""
    most = max(
        (max(column.room.memory_mib or 0, column.used_mib + memory_of(column.held)) for column in columns),
        default=0,
    )
    if not most:
        return _LOW, 0
    least = min(
        (placed.machine.memory_mib or most for column in columns for placed in column.machines), default=most
    )
    height = min(_HIGH, max(_LOW, _LEAST_BLOCK * most / least + _HEAD))
    return height, (height - _HEAD) / most


def _column(group: etree._Element, column: Column, x: float, bottom: float, width: float, scale: float) -> None:
    if column.is_lost:
        group.set("class", "gone")
    room = column.room
    taken = column.used_mib + memory_of(column.held)
    height = (room.memory_mib if room.memory_mib is not None else taken) * scale
    high = max(height, taken * scale, 18)
    middle = x + width / 2
    name = f"{room.name} \N{BALLOT X}" if column.is_lost else room.name
    _text(group, middle, bottom - high - 20, _cut(name, width), "host middle")
    state = room.leaving or _fill(column)
    unit = "" if room.leaving or len(state) * _LETTER > width - 4 * _LETTER else " GiB"
    _text(group, middle, bottom - high - 6, _cut(state + unit, width), "soft small middle")
    frame = "frame unknown" if room.memory_mib is None else "frame"
    shape = _rect(group, frame, x, bottom - max(height, 18), width, max(height, 18))
    add(shape, "title", f"{room.name}: {column.line}")
    reserve = room.reserve_mib * scale
    if reserve:
        place = _rect(group, "reserve", x, bottom - height, width, reserve)
        add(place, "title", f"reserve: {gib(room.reserve_mib)} GiB")
    y = bottom
    if room.others_mib:
        y -= room.others_mib * scale
        place = _rect(group, "others block", x, y, width, room.others_mib * scale)
        add(place, "title", f"other instances: {gib(room.others_mib)} GiB")
    for block in _blocks(column, scale):
        size = memory_of(block.machines) * scale
        y -= size
        _block(group, block, x, y, width, size)
    if reserve:
        add(
            group, "line", class_="line", x1=_short(x), x2=_short(x + width),
            y1=_short(bottom - height + reserve), y2=_short(bottom - height + reserve),
        )  # fmt: skip


def _fill(column: Column) -> str:
    total = column.room.memory_mib
    return f"{gib(column.used_mib)}/{'?' if total is None else gib(total)}"


def _blocks(column: Column, scale: float) -> Iterator[Block]:
    kinds = (("machine", column.machines), ("restarted", column.restarted), ("held", column.held))
    for kind, machines in kinds:
        for _, group in groupby(machines, key=lambda placed: placed.machine.availability_set):
            members = tuple(group)
            if members[0].machine.memory_mib * scale >= _LEAST_BLOCK:
                yield from (Block((placed,), kind) for placed in members)
            else:
                yield Block(members, kind)


def _block(parent: etree._Element, block: Block, x: float, y: float, width: float, height: float) -> None:
    letter = LOOKS[use_of(block.machines[0].machine)].letter
    group = add(parent, "g")
    add(group, "title", block.text)
    style = "block restarted" if block.kind == "restarted" else "block"
    _rect(group, f"u-{letter} {style}", x + 2, y, width - 4, height, radius=2.5)
    if block.kind == "held":
        _rect(group, "", x + 2, y, width - 4, height, radius=2.5).set("fill", "url(#stripes)")
    if height >= _LEAST_BLOCK - 1:
        _text(group, x + width / 2, y + height / 2 + 3.5, _shorten(block.name, width - 8), f"label i-{letter}")


def _foot(svg: etree._Element, loss: Loss, middle: float, bottom: float, width: float) -> None:
    """Say under a column what its host's loss does."""
    total = len(loss.restarted) + len(loss.stranded)
    down = [set_loss for set_loss in loss.sets if not set_loss.stands]
    is_good = survives(loss)
    mark = "\N{CHECK MARK}" if is_good else "\N{BALLOT X}"
    outcome = "fits" if is_good else f"{len(loss.stranded)} out" if loss.stranded else "down"
    text = _text(svg, middle, bottom + 17, f"{mark} {outcome}" if total else "empty", "small middle")
    text.set("class", f"small middle {'good' if is_good else 'bad'}")
    add(text, "title", f"without {loss.host}: {loss_line(loss)}")
    if down:
        _text(
            svg,
            middle,
            bottom + 31,
            _cut(", ".join(set_loss.name for set_loss in down), width),
            "soft small middle",
        )


def _moves(svg: etree._Element, placement: Placement, y: float) -> float:
    for move in placement.moves[:_LISTED]:
        _text(svg, _MARGIN, y, _cut(f"→ {move}", _WIDTH - 2 * _MARGIN), "")
        y += 18
    if len(placement.moves) > _LISTED:
        _text(svg, _MARGIN, y, f"and {len(placement.moves) - _LISTED} moves more", "soft")
        y += 18
    return y


def _legend(svg: etree._Element, y: float) -> float:
    entries = [(f"u-{LOOKS[use].letter}", LOOKS[use].label, LOOKS[use].shape == "held") for use in _ROLES]
    entries += [("others", "other instances", False), ("reserve", "reserve, stays free", False)]
    x = float(_MARGIN)
    for colour, label, is_striped in entries:
        _rect(svg, colour, x, y, 18, 18, radius=2.5)
        if is_striped:
            _rect(svg, "", x, y, 18, 18, radius=2.5).set("fill", "url(#stripes)")
        _text(svg, x + 25, y + 13, label, "soft")
        x += 48 + len(label) * _LETTER
    return y + 40


def _rect(
    parent: etree._Element, style: str, x: float, y: float, width: float, height: float, radius: float = 0
) -> etree._Element:
    box = {"x": _short(x), "y": _short(y), "width": _short(width), "height": _short(height), "rx": _short(radius)}
    return add(parent, "rect", class_=style, **box)


def _text(parent: etree._Element, x: float, y: float, text: str, style: str) -> etree._Element:
    return add(parent, "text", text, class_=style, x=_short(x), y=_short(y))


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _shorten(text: str, width: float) -> str:
    """Cut a name in its middle: its end is its number."""
    most = max(5, int(width / _LETTER))
    return text if len(text) <= most else f"{text[: most - 4]}…{text[-3:]}"


def _cut(text: str, width: float) -> str:
    most = max(1, int(width / _LETTER))
    return text if len(text) <= most else text[: most - 1] + "…"
