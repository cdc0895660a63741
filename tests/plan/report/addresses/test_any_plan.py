"""What holds for reports of every plan, however odd."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from lxml import html as parser

from infra.plan.addresses import AddressPlan, Lock
from infra.plan.addresses.diff import compare
from infra.plan.explain import explain
from infra.plan.instance import Plan
from infra.plan.report.addresses.markdown import render_markdown
from infra.plan.report.addresses.output import FormatName, render
from tests.instances import checked_addresses, cluster, make_spec, network
from tests.markup import elements, strings
from tests.plan.report.addresses.plans import lab

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1, max_size=30
)
PREFIXES = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: (pair[0] >> (32 - pair[1]) << (32 - pair[1]) if pair[1] else 0, pair[1])
)


def dotted(value: int) -> str:
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, list[str]]:
    base, length = draw(PREFIXES)
    last = base + 2 ** (32 - length) - 1
    inside = st.integers(base, last).map(dotted)
    ends = sorted([draw(st.integers(base, last)), draw(st.integers(base, last))])
    name = draw(NAMES)
    odd = network(dotted(ends[0]), dotted(ends[1]), name=name, addressPrefix=f"{dotted(base)}/{length}")
    services = f"{dotted(max(ends[0], ends[1] - 3))}-{dotted(ends[1])}"
    one = cluster(draw(NAMES), logicalNetwork=name, loadBalancer={"addresses": [services]})
    spec = make_spec(one, networks=[{**odd, "gateway": draw(inside), "dnsServers": [draw(inside)]}])
    plan = checked_addresses(spec)
    compare(AddressPlan("lab"), plan.addresses, spec, "nothing")
    for query in (draw(inside), "rb-0", one["name"]):
        explain(query, spec, plan, Lock())
    return plan, [name, one["name"]]


@settings(max_examples=40, deadline=None)
@given(plans())
def test_every_format_holds_every_plan(made: tuple[Plan, list[str]]) -> None:
    plan, names = made
    assert json.loads(render(plan, "json")) == plan.to_json()
    etree.fromstring(render(plan, "svg"))
    document = parser.document_fromstring(render(plan, "html"))
    assert len(elements(document, "//td")) < 20_000
    shown = strings(document, "//h2/text()")
    assert names[0] in shown
    assert len(render_markdown(plan)) < 65_536
    verdict = render(plan, "table").rstrip().splitlines()[-1]
    assert not plan.ok, "no plan that is drawn so keeps every rule"
    assert re.fullmatch(r"lab: not sound \(\d+ errors?(, .+)?\)", verdict)


@pytest.mark.parametrize("name", ["table", "markdown", "html", "svg"])
def test_every_format_says_whether_the_plan_is_sound(name: FormatName) -> None:
    broken = checked_addresses(make_spec(cluster(planes=2)))
    assert (lab().ok, broken.ok) == (True, False)
    assert set(re.findall("(not )?sound", render(lab(), name))) == {""}
    assert set(re.findall("(not )?sound", render(broken, name))) == {"not "}, "wherever it is said"


@pytest.mark.parametrize("length", [8, 31, 32])
def test_explaining_in_a_pool_of_millions_is_quick(length: int) -> None:
    wide = network("10.0.0.0", "10.0.0.1" if length > 8 else "10.255.255.250", addressPrefix=f"10.0.0.0/{length}")
    spec = make_spec(cluster(), networks=[{**wide, "gateway": "10.0.0.1", "dnsServers": []}])
    (found,) = explain("10.0.0.200" if length == 8 else "10.0.0.0", spec, checked_addresses(spec), Lock())
    assert found.facts
