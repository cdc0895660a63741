"""The placement in every format."""

import json
import re
import time
from typing import Any

import pytest
from lxml import etree

from infra.plan.instance import Plan
from infra.plan.placement import Place, PlacementLock
from infra.plan.placement.loss import every_loss, lose
from infra.plan.report.addresses.output import FormatName
from infra.plan.report.placement.output import render_placement
from tests.instances import checked_placement, cluster, host, make_spec, network
from tests.plan.report.addresses.plans import HOSTILE

SVG = {"s": "http://www.w3.org/2000/svg"}
ADDRESSES = {"a-vip": "10.220.32.30", "a-cp-0": "10.220.32.18"}
NAME = HOSTILE.replace("/", "")


def lab(**placement: Any) -> Plan:
    hosts = [host(n, memoryGiB=64, diskGiB=4000) for n in (1, 2, 3)]
    a = cluster("a", planes=3, workers=5, loadBalancer={"count": 2})
    lock = PlacementLock({"lab/a-cp-0": Place("gone", 8192, 200), "other/x-0": Place("node2", 8192, 200)})
    return checked_placement(make_spec(a, cluster("b"), hosts=hosts, stack={"placement": placement}), lock)


def hostile() -> Plan:
    spec = make_spec(
        cluster(NAME, logicalNetwork=NAME, agentPools=[{"name": NAME, "count": 2}], loadBalancer={"count": 2}),
        hosts=[host(name=NAME), host(2, name=f"{NAME}2", memoryGiB=64)],
        networks=[network(name=NAME)],
        stack={"placement": {"pins": {NAME: NAME}}},
        name=NAME,
    )
    return checked_placement(spec, PlacementLock({f"{NAME}/rb-0": Place(f"{NAME}3", 1, 1)}))


def large() -> Plan:
    pools = [{"name": f"pool{index}", "count": 49} for index in range(4)]
    wanted = [cluster(f"c{index:02}", planes=3, agentPools=pools) for index in range(32)]
    hosts = [host(n, memoryGiB=8192, diskGiB=900_000) for n in range(1, 17)]
    return checked_placement(make_spec(*wanted, hosts=hosts))


def picture(plan: Plan, *lost: str) -> Any:
    return etree.fromstring(render_placement(plan, "svg", [lose(plan.placement, one) for one in lost], ADDRESSES))


def test_every_machine_is_a_block_as_high_as_its_memory() -> None:
    plan = lab()
    svg = picture(plan)
    titles = svg.xpath("//s:g/s:title/text()", namespaces=SVG)
    for one in (*plan.placement.placed, *plan.placement.held):
        assert sum(text.startswith(f"{one.machine.owner} · ") for text in titles) == 1
    blocks = svg.xpath("//s:rect[contains(@class, 'block') and contains(@class, 'u-')]", namespaces=SVG)
    assert len({rect.get("height") for rect in blocks}) == 1, "all have 8 GiB"
    assert len(svg.xpath("//s:rect[@class='reserve']", namespaces=SVG)) == 3 + 1, "each host's, and the legend's"
    assert "other instances: 8 GiB" in svg.xpath("//s:title/text()", namespaces=SVG)


def test_a_picture_of_a_loss_shows_what_comes_where() -> None:
    plan = lab()
    svg = picture(plan, "node1")
    assert len(svg.xpath("//s:g[@class='gone']", namespaces=SVG)) == 1
    restarted = svg.xpath("//s:rect[contains(@class, 'restarted')]", namespaces=SVG)
    assert len(restarted) == len(plan.placement.on("node1"))


@pytest.mark.parametrize("plan", [lab(), large(), checked_placement(make_spec(hosts=[host(1), host(2)]))])
def test_everything_lies_inside_the_picture(plan: Plan) -> None:
    svg = picture(plan)
    _, _, width, height = (float(one) for one in svg.get("viewBox").split())
    rects = svg.xpath("//s:g//s:rect", namespaces=SVG)
    assert rects
    for rect in rects:
        assert float(rect.get("x")) + float(rect.get("width")) <= width
        assert 0 <= float(rect.get("y")) <= float(rect.get("y")) + float(rect.get("height")) <= height


def test_nothing_that_people_name_becomes_markup() -> None:
    plan = hostile()
    svg = picture(plan)
    assert {etree.QName(element).localname for element in svg.iter()} == {
        "svg", "title", "style", "defs", "pattern", "rect", "text", "g", "line",
    }  # fmt: skip
    html = render_placement(plan, "html", every_loss(plan.placement), {})
    assert "<script" not in html
    markdown = render_placement(plan, "markdown", every_loss(plan.placement), {})
    assert not re.search(r"(?<!\\)<script", markdown)
    assert "@all" not in markdown


def test_pages_and_pictures_need_nothing_from_elsewhere() -> None:
    for name in ("svg", "html"):
        text = render_placement(lab(), name, every_loss(lab().placement), ADDRESSES)
        assert set(re.findall(r"https?://[^\"\s]*", text)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", ["table", "markdown", "html", "svg", "json"])
def test_every_format_tells_of_machines_moves_and_losses(name: FormatName) -> None:
    plan = lab()
    text = render_placement(plan, name, every_loss(plan.placement), ADDRESSES).replace("\\", "")
    text = re.sub(r"\s+", " ", text)
    assert "a-nodepool1-4" in text
    assert "gone" in text
    if name == "json":
        found = json.loads(render_placement(plan, name, every_loss(plan.placement), ADDRESSES))
        assert found["moves"] == [
            {
                "machine": "a-cp-0",
                "from": "gone",
                "to": plan.placement.hosts["a-cp-0"],
                "because": "gone isn't in hosts/s.yaml any more",
                "live": False,
            }
        ]
        assert [one["host"] for one in found["losses"]] == ["node1", "node2", "node3"]
        assert {one["name"]: one["address"] for one in found["machines"]}["a-cp-0"] == "10.220.32.18"
        assert found["hosts"][1]["otherInstancesMiB"] == 8192
        assert not found["hosts"][1]["lost"]
    else:
        assert "a-cp-0 moves from gone to" in text
    if name not in {"svg", "json"}:
        assert "without node1" in text.replace("*", "")


def test_a_single_loss_names_the_virtual_addresses() -> None:
    plan = lab()
    lost = lose(plan.placement, plan.placement.hosts["a-cp-0"])
    text = " ".join(render_placement(plan, "table", [lost], ADDRESSES).split())
    assert "a-vip (10.220.32.30) stays up: 2 of 3 control-plane machines are left; etcd needs 2" in text


def test_what_finds_no_room_is_in_every_format() -> None:
    plan = checked_placement(make_spec(cluster(workers=3), hosts=[host(memoryGiB=32)]))
    assert [one.owner for one in plan.placement.unplaced] == ["a-nodepool1-2"]
    for name in ("table", "html", "json"):
        assert "a-nodepool1-2" in render_placement(plan, name, (), {})


def test_memory_that_nobody_knows_is_said_not_to_be_limited() -> None:
    plan = checked_placement(make_spec(cluster()))
    for name in ("table", "markdown", "html"):
        text = " ".join(render_placement(plan, name, (), {}).split())
        assert "memory not known, so not limited" in text.replace("\\", "")


def test_thousands_of_machines_take_less_than_a_second() -> None:
    plan = large()
    start = time.process_time()
    render_placement(plan, "svg", (), {})
    assert time.process_time() - start < 1.5, "a second on an idle machine"
