import base64
import hashlib
import time
from dataclasses import replace

import pytest
from lxml import etree
from lxml import html as parser

from infra.plan.instance import Plan
from infra.plan.report.addresses.changes import change_notes, change_rows
from infra.plan.report.addresses.page import render_html
from infra.plan.report.looks import LOOKS
from tests.instances import checked_addresses, cluster, make_spec, network
from tests.markup import attribute, elements, strings
from tests.plan.report.addresses.plans import HOSTILE, grown, hostile, lab, large


def page(plan: Plan) -> etree._Element:
    return parser.document_fromstring(render_html(plan))


def cells(document: etree._Element) -> list[etree._Element]:
    return elements(document, "//table[contains(@class, 'map')]//td/*[contains(@class, 'cell')]")


def test_every_address_is_a_cell_with_hover_text() -> None:
    document = page(lab())
    found = cells(document)
    assert len(found) == 512
    titles = [attribute(cell, "title") for cell in found]
    assert titles[20] == "192.168.1.20 · cluster · instance · the instance's own address (the failover cluster's)"
    assert "10.220.32.18 · a-cp-0 · control plane of cluster a · control-plane node 1 of 3" in titles
    assert "10.220.32.34 · free, in the pool" in titles
    assert "10.220.32.255 · the subnet's broadcast address; nobody can have it" in titles
    assert titles[-256:] == sorted(titles[-256:], key=lambda title: int(title.split(" ")[0].rpartition(".")[2]))


def test_keyboards_and_screen_readers_reach_what_somebody_has_without_a_script() -> None:
    document = page(lab())
    links = elements(document, "//table[contains(@class, 'map')]//a")
    assert len(links) == sum(len(net.allocations) for net in lab().addresses.networks)
    ids = strings(document, "//@id")
    assert len(ids) == len(set(ids))
    assert {attribute(link, "href")[1:] for link in links} <= set(ids)
    maps = elements(document, "//table[contains(@class, 'map')]")
    assert all(table.get("aria-labelledby") in ids for table in maps)
    assert strings(document, "//tr[@id='10.220.32.18']/td/text()")[:2] == ["10.220.32.18", "a-cp-0"]


def test_what_differs_is_marked_and_said() -> None:
    plan, changes = grown()
    document = parser.document_fromstring(render_html(plan, changes))
    marked = [attribute(cell, "title") for cell in cells(document) if "differs" in attribute(cell, "class")]
    (added,) = [title for title in marked if "a-nodepool1-5" in title]
    assert "added: pool nodepool1 of cluster a grew from 5 to 7" in added
    (removed,) = [title for title in marked if title.startswith("10.220.32.32 ")]
    assert removed.startswith("10.220.32.32 · free, in the pool · removed: b-spare: cluster b is gone")
    assert len(marked) == len(change_notes(changes))
    assert len(elements(document, "//section[@aria-labelledby='changes']//tbody/tr")) == len(change_rows(changes))


def test_nothing_that_people_name_becomes_markup() -> None:
    text = render_html(hostile())
    document = parser.document_fromstring(text)
    assert len(elements(document, "//script")) == 1
    assert text.count("<script") == 1
    assert HOSTILE in strings(document, "//li[@class='error']/p/span/text()")
    names = {str(name) for element in document.iter() for name in element.keys()}  # noqa: SIM118 - no mapping
    handlers = [name for name in names if name.startswith("on")]
    assert handlers == []
    assert not [link for link in strings(document, "//@href") if not link.startswith("#")]


def test_control_characters_do_no_harm() -> None:
    plan = lab(reservations=[{"address": "10.220.32.9", "owner": "x"}])
    odd = replace(plan, addresses=replace(plan.addresses, instance="a\x00\ud800b"))
    assert "a\ufffd\ufffdb" in render_html(odd)


def test_it_needs_nothing_from_elsewhere_and_runs_only_its_own_script() -> None:
    document = page(lab())
    assert not document.xpath("//@src | //link | //img | //iframe")
    (policy,) = strings(document, "//meta[@http-equiv='Content-Security-Policy']/@content")
    (script,) = strings(document, "//script/text()")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    ("prefix", "count"), [("29", 8), ("28", 16), ("25", 128), ("24", 256), ("20", 256), ("16", 256)]
)
def test_any_prefix_has_a_map(prefix: str, count: int) -> None:
    wide = network("10.1.0.2", "10.1.0.6", addressPrefix=f"10.1.0.0/{prefix}", gateway="10.1.0.1")
    document = page(checked_addresses(make_spec(cluster(), networks=[{**wide, "dnsServers": ["10.1.0.1"]}])))
    assert len(cells(document)) == 256 + count
    folds = strings(document, "//p[@class='fold']/text()")
    assert bool(folds) == (int(prefix) < 24)
    if prefix == "16":
        assert folds == ["10.1.1.0-10.1.255.255: 65,280 addresses that nobody has, outside the pools"]


def test_a_plan_of_services_all_over_a_16_has_a_bound() -> None:
    wide = network("10.1.0.2", "10.1.0.9", addressPrefix="10.1.0.0/16", gateway="10.1.0.1")
    many = cluster(loadBalancer={"addresses": ["10.1.1.0-10.1.255.255"]})
    document = page(checked_addresses(make_spec(many, networks=[{**wide, "dnsServers": ["10.1.0.1"]}])))
    assert len(cells(document)) <= 40 * 256
    assert "10.1.39.0-10.1.255.255: 55,552 addresses, 55,552 given out" in "".join(
        strings(document, "//p[@class='fold']/text()")
    )


def test_thousands_of_nodes_take_less_than_a_second() -> None:
    plan = large()
    start = time.process_time()
    text = render_html(plan)
    assert time.process_time() - start < 1.5, "a second on an idle machine"
    assert len(elements(parser.document_fromstring(text), "//table[contains(@class, 'map')]//a")) == 6442


def test_letters_are_unique_and_inks_have_contrast() -> None:
    letters = [look.letter for look in LOOKS.values()]
    assert len(letters) == len(set(letters))
    for look in LOOKS.values():
        bright, dark = sorted((_luminance(look.fill), _luminance(look.ink)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, look


def _luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
