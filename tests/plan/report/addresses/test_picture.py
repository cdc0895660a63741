import re
import time

from lxml import etree

from infra.plan.instance import Plan
from infra.plan.report.addresses.changes import change_notes
from infra.plan.report.addresses.picture import render_svg
from tests.markup import SVG, attribute, elements, strings
from tests.plan.report.addresses.plans import HOSTILE, grown, hostile, lab, large


def picture(plan: Plan) -> etree._Element:
    return etree.fromstring(render_svg(plan))


def test_every_address_has_a_shape_with_its_title() -> None:
    titles = strings(picture(lab()), "//s:g//s:title/text()", SVG)
    assert len(titles) == 512
    assert "10.220.32.18 · a-cp-0 · control plane of cluster a · control-plane node 1 of 3" in titles
    assert "10.220.32.34 · free, in the pool" in titles


def test_what_differs_has_a_dot() -> None:
    plan, changes = grown()
    svg = etree.fromstring(render_svg(plan, changes))
    in_legend = 1
    assert len(elements(svg, "//s:circle", SVG)) == len(change_notes(changes)) + in_legend
    assert not elements(picture(lab()), "//s:circle", SVG)


def test_everything_lies_inside_the_picture() -> None:
    svg = picture(large(2))
    _, _, width, height = (float(one) for one in attribute(svg, "viewBox").split())
    rects = elements(svg, "//s:g//s:rect", SVG)
    assert rects
    for rect in rects:
        assert float(attribute(rect, "x")) + float(attribute(rect, "width")) <= width
        assert float(attribute(rect, "y")) + float(attribute(rect, "height")) <= height


def test_nothing_that_people_name_becomes_markup() -> None:
    svg = picture(hostile())
    assert {etree.QName(element).localname for element in svg.iter()} == {
        "svg", "title", "style", "defs", "pattern", "rect", "text", "tspan", "g", "path",
    }  # fmt: skip
    assert any(HOSTILE.replace("/", "") in title for title in strings(svg, "//s:title/text()", SVG))


def test_it_needs_nothing_from_elsewhere() -> None:
    text = render_svg(lab())
    assert re.findall(r"url\(([^)]*)\)", text) == ["#stripes"] * text.count("url(")
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]


def test_thousands_of_nodes_take_less_than_a_second() -> None:
    plan = large()
    start = time.process_time()
    render_svg(plan)
    assert time.process_time() - start < 1.5, "a second on an idle machine"
