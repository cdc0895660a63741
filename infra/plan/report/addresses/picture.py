"""The plan as one SVG picture of all subnets; follows the reader's light or dark mode."""

from collections import Counter

from lxml import etree

from infra.plan.addresses.diff import Changes
from infra.plan.addresses.plan import NetworkPlan
from infra.plan.instance import Plan
from infra.plan.report.addresses.changes import change_notes
from infra.plan.report.addresses.subnet import COLUMNS, Block, Bracket, Cell, Fold, Row, lay_out, span_of
from infra.plan.report.addresses.words import pool_line, summary, tag, verdict
from infra.plan.report.looks import LOOKS
from infra.plan.report.markup import add, asset, fit

_WIDTH = 1080
_MARGIN = 24
_LABEL = 46
_STEP = (_WIDTH - 2 * _MARGIN - _LABEL) / COLUMNS
_CELL = _STEP - 3
_TALL, _FLAT, _BRACKET = 28, 9, 15
_LEGEND_COLUMNS = 6
_LETTER_WIDTH = 8


def render_svg(plan: Plan, changes: Changes | None = None) -> str:
    """Return the picture; with a dot where something differs from an older plan."""
    svg = etree.Element("svg", xmlns="http://www.w3.org/2000/svg")
    picture = _Picture(svg)
    picture.head(plan)
    notes = change_notes(changes) if changes is not None else {}
    for network, parts in zip(plan.addresses.networks, lay_out(plan.addresses.networks, notes), strict=True):
        picture.network(network, parts)
    picture.legend(changes)
    for name, value in (("viewBox", f"0 0 {_WIDTH} {picture.y:.0f}"), ("width", str(_WIDTH)), ("role", "img")):
        svg.set(name, value)
    svg.set("height", f"{picture.y:.0f}")
    svg.set("aria-label", fit(f"Address plan {verdict(plan)}; {summary(plan)}"))
    for group in svg.iter("svg", "g"):
        for child in group:
            child.tail = "\n"  # a line a shape, so that a diff of two pictures can be read
    text: str = etree.tostring(svg, encoding="unicode")
    return text + "\n"


class _Picture:
    """Draws downwards; `y` is where the next thing goes."""

    def __init__(self, svg: etree._Element) -> None:
        self.svg = svg
        self.y = 20.0

    def head(self, plan: Plan) -> None:
        """Draw the background, the title and the verdict."""
        colours = "".join(
            f".u-{look.letter}{{fill:{look.fill}}} .i-{look.letter}{{fill:{look.ink}}}\n"
            for look in LOOKS.values()
        )
        add(self.svg, "title", f"Address plan {plan.instance}")
        add(self.svg, "style", asset("picture.css") + colours)
        definitions = add(self.svg, "defs")
        stripes = add(
            definitions, "pattern", id="stripes", width=7, height=7,
            patternUnits="userSpaceOnUse", patternTransform="rotate(45)",
        )  # fmt: skip
        add(stripes, "rect", width=2.5, height=7, fill="#ffffff", fill_opacity=0.4)
        add(self.svg, "rect", class_="page", width="100%", height="100%", rx=10)
        self._text(_MARGIN, self.y + 20, f"Address plan {_cut(plan.instance, 400)}", "h1")
        mark = "\N{CHECK MARK}" if plan.ok else "\N{BALLOT X}"
        line = f"{mark} {'sound: no rule is broken' if plan.ok else 'not sound'} · {summary(plan)}"
        self._text(_MARGIN, self.y + 42, line, "good" if plan.ok else "bad")
        self.y += 58

    def network(self, network: NetworkPlan, parts: list[Block | Fold]) -> None:
        """Draw a network: its name, how full its pools are, its map."""
        self.y += 26
        heading = self._text(_MARGIN, self.y, "", "h2")
        add(heading, "tspan", _cut(network.name, 320))
        add(heading, "tspan", f"  {network.address_prefix}  {tag(network)}", class_="soft", dx=10)
        self._text(_WIDTH - _MARGIN, self.y, pool_line(network), "soft end")
        self.y += 10
        self._bar(network)
        for part in parts:
            if isinstance(part, Fold):
                self._fold(part)
            else:
                self._block(part, is_part=len(span_of(network)) > len(part.span))

    def legend(self, changes: Changes | None) -> None:
        """Draw what letters and shapes mean, and end the picture."""
        self.y += 24
        width = (_WIDTH - 2 * _MARGIN) / _LEGEND_COLUMNS
        entries: list[tuple[str, str, str, str]] = [
            (f"u-{look.letter}", look.shape, look.letter, look.label) for look in LOOKS.values()
        ]
        entries += [("free", "", "", "free, in the pool"), ("out", "", "", "outside the pools")]
        if changes is not None:
            entries.append(("free", "differs", "", _cut(f"differs from {changes.against}", 144)))
        for number, (colour, shape, letter, label) in enumerate(entries):
            x = _MARGIN + number % _LEGEND_COLUMNS * width
            y = self.y + number // _LEGEND_COLUMNS * 26
            self._shape(self.svg, x, y, (20, 20), colour, shape)
            if letter:
                self._text(x + 10, y + 14.5, letter, f"letter i-{letter}")
            self._text(x + 28, y + 14.5, label, "soft")
        self.y += -(-len(entries) // _LEGEND_COLUMNS) * 26 + 14

    def _bar(self, network: NetworkPlan) -> None:
        width = _WIDTH - 2 * _MARGIN
        add(self.svg, "rect", class_="free", x=_MARGIN, y=_short(self.y), width=width, height=12, rx=3)
        uses = Counter(
            allocation.use
            for allocation in network.allocations
            if any(allocation.value in span for span in network.pools)
        )
        x = float(_MARGIN)
        for use, look in LOOKS.items():
            if uses[use]:
                part = uses[use] * width / network.pool.size
                self._shape(self.svg, x, self.y, (part, 12), f"u-{look.letter}", look.shape, radius=0)
                x += part
        self.y += 24

    def _fold(self, fold: Fold) -> None:
        add(
            self.svg,
            "rect",
            class_="fold",
            x=_MARGIN,
            y=_short(self.y),
            width=_WIDTH - 2 * _MARGIN,
            height=24,
            rx=4,
        )
        self._text(_MARGIN + 10, self.y + 16.5, fold.text, "soft")
        self.y += 32

    def _block(self, block: Block, *, is_part: bool) -> None:
        if is_part:
            prefix = ".".join(str(block.span.first >> shift & 255) for shift in (24, 16, 8))
            self._text(_MARGIN, self.y + 10, f"{prefix}.0/24", "soft mono")
            self.y += 16
        for row in block.rows:
            self._row(row)
        self.y += 6

    def _row(self, row: Row) -> None:
        if row.brackets:
            for bracket in row.brackets:
                self._bracket(bracket)
            self.y += _BRACKET
        height = _FLAT if row.is_quiet else _TALL
        group = add(self.svg, "g")
        label = f".{row.cells[0].value & 255}"
        self._text(_MARGIN + _LABEL - 8, self.y + height / 2 + 4, label, "tiny end mono", group)
        for number, cell in enumerate(row.cells):
            self._cell(group, _x(number), cell, height)
        self.y += height + 3

    def _bracket(self, bracket: Bracket) -> None:
        left, right = _x(bracket.start), _x(bracket.start + bracket.count) - 3
        y = _short(self.y)
        path = f"M{_short(left + 0.75)} {_short(self.y + 13)}V{y}H{_short(right)}"
        add(self.svg, "path", class_="bracket", d=path)
        self._text(left + 5, self.y + 11, _cut(bracket.name, right - left - 6), "name")

    def _cell(self, group: etree._Element, x: float, cell: Cell, height: float) -> None:
        holder = cell.allocation
        if holder is None:
            shape = "differs" if cell.differs else ""
            place = self._shape(group, x, self.y, (_CELL, height), "free" if cell.in_pool else "out", shape)
            add(place, "title", cell.text)
            return
        look = LOOKS[holder.use]
        group = add(group, "g")
        add(group, "title", cell.text)
        self._shape(group, x, self.y, (_CELL, height), f"u-{look.letter}", look.shape)
        middle = x + _CELL / 2
        self._text(middle, self.y + 13, look.letter, f"letter i-{look.letter}", group)
        self._text(middle, self.y + 23, str(cell.value & 255), f"octet i-{look.letter}", group)
        if cell.differs:
            self._dot(group, x + _CELL, self.y)

    def _shape(
        self,
        parent: etree._Element,
        x: float,
        y: float,
        size: tuple[float, float],
        colour: str,
        shape: str,
        radius: float | None = None,
    ) -> etree._Element:
        width, height = size
        if radius is None:
            radius = height / 2 if shape == "virtual" else 2.5
        box = {
            "x": _short(x),
            "y": _short(y),
            "width": _short(width),
            "height": _short(height),
            "rx": _short(radius),
        }
        place = add(parent, "rect", class_=colour, **box)
        if shape == "held":
            add(parent, "rect", fill="url(#stripes)", **box)
        if shape == "differs":
            self._dot(parent, x + width, y)
        return place

    def _dot(self, parent: etree._Element, x: float, y: float) -> None:
        add(parent, "circle", class_="dot", cx=_short(x - 1), cy=_short(y + 1), r=4)

    def _text(
        self, x: float, y: float, text: str, style: str, parent: etree._Element | None = None
    ) -> etree._Element:
        return add(self.svg if parent is None else parent, "text", text, class_=style, x=_short(x), y=_short(y))


def _x(column: int) -> float:
    return _MARGIN + _LABEL + column * _STEP


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _cut(text: str, width: float) -> str:
    """Cut a text to about a width; a picture has no line breaks."""
    most = max(1, int(width / _LETTER_WIDTH))
    return text if len(text) <= most else text[: most - 1] + "…"
