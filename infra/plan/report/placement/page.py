"""The placement as one HTML page: the picture, every machine, what losses leave; no other file, no script."""

from collections.abc import Mapping, Sequence

from lxml import etree

from infra.plan.instance import Plan
from infra.plan.placement.loss import Loss
from infra.plan.placement.plan import Placement, gib
from infra.plan.report.addresses.page import add_findings
from infra.plan.report.markup import add, asset
from infra.plan.report.placement.picture import draw
from infra.plan.report.placement.view import loss_line, loss_lines, survives, title, verdict


def render_html(plan: Plan, losses: Sequence[Loss], addresses: Mapping[str, str]) -> str:
    """Return the whole page."""
    placement = plan.placement
    html = etree.Element("html", lang="en")
    head = add(html, "head")
    add(head, "meta", charset="utf-8")
    add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    add(head, "meta", http_equiv="Content-Security-Policy", content=policy)
    add(head, "title", f"Placement {placement.instance}")
    add(head, "style", asset("map.css"))
    body = add(html, "body")
    _header(body, plan)
    main = add(body, "main")
    if findings := plan.findings_about("placement"):
        add_findings(main, findings)
    picture = draw(plan, losses)
    picture.set("style", "max-width:100%;height:auto")
    add(add(main, "section", aria_label="Picture"), "div", class_="scroll").append(picture)
    _losses(main, losses, addresses)
    _machines(main, placement)
    add(add(body, "footer"), "p", f"Made by `azlocal plan {placement.instance} --placement --format html`.")
    text: str = etree.tostring(html, method="html", doctype="<!DOCTYPE html>", encoding="unicode")
    return text + "\n"


def _header(body: etree._Element, plan: Plan) -> None:
    header = add(body, "header")
    heading = add(header, "h1")
    add(heading, "small", "Placement")
    add(heading, "span", plan.instance)
    is_sound = plan.is_sound("placement")
    mark = "\N{CHECK MARK}" if is_sound else "\N{BALLOT X}"
    text = f"{mark} {verdict(plan).removeprefix(f'{plan.instance}: ')}"
    add(header, "span", text, class_=f"verdict {'good' if is_sound else 'bad'}")
    add(header, "p", title(plan.placement), class_="summary")


def _losses(main: etree._Element, losses: Sequence[Loss], addresses: Mapping[str, str]) -> None:
    if not losses:
        return
    section = add(main, "section", aria_labelledby="losses")
    add(section, "h2", "What a host's loss leaves", id="losses")
    for loss in losses:
        details = add(section, "details")
        if len(losses) == 1:
            details.set("open", "")
        mark = "\N{CHECK MARK}" if survives(loss) else "\N{BALLOT X}"
        add(details, "summary", f"{mark} without {loss.host}: {loss_line(loss)}")
        listed = add(details, "ul")
        for line in loss_lines(loss, addresses):
            add(listed, "li", line)


def _machines(main: etree._Element, placement: Placement) -> None:
    section = add(main, "section", aria_labelledby="machines")
    add(section, "h2", "Machines", id="machines")
    table = add(section, "table", class_="list")
    heading = add(add(table, "thead"), "tr")
    for name in ("Machine", "Host", "GiB", "Set", "Why"):
        add(heading, "th", name, scope="col")
    body = add(table, "tbody")
    for placed in (*placement.placed, *placement.held):
        machine = placed.machine
        line = add(body, "tr")
        for text in (machine.owner, placed.host, gib(machine.memory_mib), machine.availability_set, placed.why):
            add(line, "td", text)
    for machine in (*placement.unplaced, *placement.unheld):
        line = add(body, "tr")
        for text in (machine.owner, "none", gib(machine.memory_mib), machine.availability_set, "no room"):
            add(line, "td", text)
