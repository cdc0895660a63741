"""The plan as one HTML page: a map of each subnet, every address a cell; needs no other file and no script.

A cell that somebody has is a link to its line in the list below the map, so that keyboards and screen
readers reach it; its title says all there is to say.
"""

import base64
import hashlib
from collections import Counter

from lxml import etree

from infra.counting import counted
from infra.plan.addresses.diff import Changes
from infra.plan.addresses.plan import Allocation, NetworkPlan
from infra.plan.instance import Plan
from infra.plan.report.addresses.changes import change_notes, change_rows, changes_line, effect_rows, untold_line
from infra.plan.report.addresses.runs import Run, build_runs, holders
from infra.plan.report.addresses.subnet import COLUMNS, Block, Cell, Fold, Row, lay_out, span_of
from infra.plan.report.addresses.words import pool_line, summary, tag, verdict
from infra.plan.report.looks import LOOKS, SHAPES
from infra.plan.report.markup import add, asset
from infra.spec.findings import Finding

_LISTED_FROM = 65
_MOST_HOLDERS = 12


def render_html(plan: Plan, changes: Changes | None = None) -> str:
    """Return the whole page."""
    html = etree.Element("html", lang="en")
    _head(html, plan)
    body = add(html, "body")
    _header(body, plan)
    main = add(body, "main")
    if plan.findings:
        add_findings(main, plan.findings)
    if changes is not None:
        _changes(main, changes)
    _legend(main, changes)
    notes = change_notes(changes) if changes is not None else {}
    for index, (network, parts) in enumerate(
        zip(plan.addresses.networks, lay_out(plan.addresses.networks, notes), strict=True)
    ):
        _network(main, index, network, parts)
    add(add(body, "footer"), "p", f"Made by `azlocal plan {plan.instance} --format html`.")
    add(body, "script", asset("map.js"))
    text: str = etree.tostring(html, method="html", doctype="<!DOCTYPE html>", encoding="unicode")
    return text + "\n"


def _head(html: etree._Element, plan: Plan) -> None:
    head = add(html, "head")
    add(head, "meta", charset="utf-8")
    add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    digest = base64.b64encode(hashlib.sha256(asset("map.js").encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    add(head, "meta", http_equiv="Content-Security-Policy", content=policy)
    add(head, "title", f"Address plan {plan.instance}")
    add(head, "style", asset("map.css") + _colours())


def _colours() -> str:
    return "".join(f".u-{look.letter}{{--c:{look.fill};--i:{look.ink}}}\n" for look in LOOKS.values())


def _header(body: etree._Element, plan: Plan) -> None:
    header = add(body, "header")
    heading = add(header, "h1")
    add(heading, "small", "Address plan")
    add(heading, "span", plan.instance)
    add(header, "span", _short_verdict(plan), class_=f"verdict {'good' if plan.ok else 'bad'}")
    add(header, "p", summary(plan), class_="summary")
    form = add(header, "form", class_="tools", role="search", hidden="")
    label = add(form, "label", "Find ")
    add(label, "input", type="search", placeholder="an address, a name, a use …", autocomplete="off")
    add(form, "output", aria_live="polite")
    if len(plan.addresses.networks) > 2:
        jump = add(add(header, "nav", aria_label="Networks"), "ul", class_="jump")
        for index, network in enumerate(plan.addresses.networks):
            item = add(jump, "li")
            add(item, "a", network.name, href=f"#network-{index}").tail = f" {network.pool.free:,} free"


def _short_verdict(plan: Plan) -> str:
    mark = "\N{CHECK MARK}" if plan.ok else "\N{BALLOT X}"
    return f"{mark} {verdict(plan).removeprefix(f'{plan.instance}: ')}"


def add_findings(main: etree._Element, findings: tuple[Finding, ...]) -> None:
    """Add a section with every finding."""
    section = add(main, "section", class_="findings", aria_labelledby="findings")
    add(section, "h2", "Findings", id="findings")
    listed = add(section, "ol")
    for finding in findings:
        item = add(listed, "li", class_=finding.severity)
        line = add(item, "p")
        add(line, "strong", finding.severity).tail = " "
        add(line, "span", finding.message).tail = " "
        add(line, "code", finding.rule)
        add(item, "p", finding.remedy)
        add(item, "p", finding.path, class_="where")


def _changes(main: etree._Element, changes: Changes) -> None:
    section = add(main, "section", aria_labelledby="changes")
    header = add(section, "header")
    add(header, "h2", "Changes", id="changes")
    add(header, "span", changes_line(changes))
    for sentence in changes.networks:
        add(section, "p", sentence)
    rows = change_rows(changes)
    if rows:
        table = add(section, "table", class_="list")
        heading = add(add(table, "thead"), "tr")
        for name in ("Address", "Change", "Owner", "Why"):
            add(heading, "th", name, scope="col")
        body = add(table, "tbody")
        for row in rows:
            line = add(body, "tr")
            for text in (row.place, row.kind, row.owner, row.why):
                add(line, "td", text)
    _effects(section, changes)


def _effects(section: etree._Element, changes: Changes) -> None:
    """Add what becomes of machines and clusters, or why that isn't told."""
    if untold := untold_line(changes.effects):
        add(section, "p", untold)
    rows = effect_rows(changes.effects)
    if rows:
        table = add(section, "table", class_="list")
        heading = add(add(table, "thead"), "tr")
        for name in ("Machine", "Effect", "Why"):
            add(heading, "th", name, scope="col")
        body = add(table, "tbody")
        for row in rows:
            line = add(body, "tr")
            for text in (row.names, row.kind, f"{row.why}. {row.then}" if row.then else row.why):
                add(line, "td", text)


def _legend(main: etree._Element, changes: Changes | None) -> None:
    section = add(main, "section", class_="legend", aria_labelledby="legend")
    add(section, "h2", "Legend", id="legend")
    listed = add(section, "ul")
    for look in LOOKS.values():
        item = add(listed, "li")
        swatch = add(item, "span", class_=f"cell u-{look.letter} {look.shape}", aria_hidden="true")
        add(swatch, "b", look.letter)
        add(item, "span", look.label)
    for kind, label in (("free", "free, in the pool"), ("out", "outside the pools")):
        item = add(listed, "li")
        add(item, "span", class_=f"cell {kind}", aria_hidden="true")
        add(item, "span", label)
    if changes is not None:
        item = add(listed, "li")
        add(item, "span", class_="cell free differs", aria_hidden="true")
        add(item, "span", f"differs from {changes.against}")
    shapes = "; ".join(SHAPES.values()).capitalize()
    add(section, "p", f"{shapes}. A bracket over the cells names the cluster that has them.")


def _network(main: etree._Element, index: int, network: NetworkPlan, parts: list[Block | Fold]) -> None:
    section = add(main, "section", id=f"network-{index}", aria_labelledby=f"name-{index}")
    header = add(section, "header")
    add(header, "h2", network.name, id=f"name-{index}")
    add(header, "code", str(network.address_prefix))
    add(header, "span", tag(network))
    _bar(section, network)
    add(section, "p", pool_line(network), class_="figures")
    _holders(section, network)
    for part in parts:
        if isinstance(part, Fold):
            add(section, "p", part.text, class_="fold")
        else:
            _block(section, index, network, part)
    _list(section, network)


def _bar(section: etree._Element, network: NetworkPlan) -> None:
    bar = add(section, "div", class_="bar", role="img", aria_label=pool_line(network))
    uses = Counter(
        allocation.use
        for allocation in network.allocations
        if any(allocation.value in span for span in network.pools)
    )
    for use, look in LOOKS.items():
        if uses[use]:
            width = f"width:{uses[use] * 100 / network.pool.size:.3f}%"
            title = f"{uses[use]:,} {look.label}"
            add(bar, "span", class_=f"u-{look.letter} {look.shape}", style=width, title=title)


def _holders(section: etree._Element, network: NetworkPlan) -> None:
    by_cluster = holders(network.allocations)
    if not by_cluster:
        return
    listed = add(section, "ul", class_="holders", aria_label="Clusters")
    for name, runs in list(by_cluster.items())[:_MOST_HOLDERS]:
        item = add(listed, "li")
        count = sum(run.count for run in runs)
        where = ", ".join(run.addresses for run in runs[:3]) + (" …" if len(runs) > 3 else "")
        add(item, "b", name).tail = f" {count:,}: {where}"
    if len(by_cluster) > _MOST_HOLDERS:
        add(listed, "li", f"and {counted(len(by_cluster) - _MOST_HOLDERS, 'cluster')} more")


def _block(section: etree._Element, index: int, network: NetworkPlan, block: Block) -> None:
    scroll = add(section, "div", class_="scroll")
    is_narrow = len(block.span) < COLUMNS
    table = add(scroll, "table", class_="map narrow" if is_narrow else "map", aria_labelledby=f"name-{index}")
    if len(span_of(network)) > len(block.span):
        prefix = ".".join(str(block.span.first >> shift & 255) for shift in (24, 16, 8))
        add(table, "caption", f"{prefix}.0/24")
    body = add(table, "tbody")
    for row in block.rows:
        _row(body, row)


def _row(body: etree._Element, row: Row) -> None:
    line = add(body, "tr")
    if row.brackets or row.is_quiet:
        line.set("class", "bracketed" if row.brackets else "quiet")
    add(line, "th", f".{row.cells[0].value & 255}", scope="row")
    starts = {bracket.start: bracket for bracket in row.brackets}
    for number, cell in enumerate(row.cells):
        place = add(line, "td")
        _cell(place, cell)
        if number in starts:
            starting = starts[number]
            add(place, "i", starting.name, class_="bracket", style=f"--n:{starting.count}", aria_hidden="true")


def _cell(place: etree._Element, cell: Cell) -> None:
    octet, differs = str(cell.value & 255), " differs" if cell.differs else ""
    holder = cell.allocation
    if holder is None:
        kind = ("free" if cell.in_pool else "out") + differs
        add(place, "span", octet, class_=f"cell {kind}", title=cell.text)
        return
    look = LOOKS[holder.use]
    kind = f"u-{look.letter} {look.shape}{differs}"
    link = add(place, "a", class_=f"cell {kind}", href=f"#{holder.address}", title=cell.text)
    if holder.cluster is not None:
        link.set("data-cluster", holder.cluster)
    add(link, "b", look.letter, aria_hidden="true")
    add(link, "span", octet, aria_hidden="true")


def _list(section: etree._Element, network: NetworkPlan) -> None:
    runs = build_runs(network, nodes_from=_LISTED_FROM, services_from=_LISTED_FROM)
    details = add(section, "details")
    add(details, "summary", f"The same as a list: {counted(len(runs), 'line')}")
    table = add(details, "table", class_="list")
    heading = add(add(table, "thead"), "tr")
    for name in ("Address", "Owner", "Use", "Why"):
        add(heading, "th", name, scope="col")
    body = add(table, "tbody")
    for run in runs:
        _line(body, run)


def _line(body: etree._Element, run: Run) -> None:
    line = add(body, "tr") if run.allocations else add(body, "tr", class_="nobody")
    place = add(line, "td", run.addresses)
    _anchors(line, place, run.allocations)
    add(line, "td", run.owner)
    use = add(line, "td")
    if run.allocations:
        look = LOOKS[run.allocations[0].use]
        add(use, "span", look.letter, class_=f"key u-{look.letter}", aria_hidden="true").tail = look.label
    else:
        use.text = "free"
    add(line, "td", run.why)


def _anchors(line: etree._Element, place: etree._Element, allocations: tuple[Allocation, ...]) -> None:
    """Give every address of the line a name to link to."""
    for number, allocation in enumerate(allocations):
        if number == 0:
            line.set("id", allocation.address)
        else:
            add(place, "span", id=allocation.address)
