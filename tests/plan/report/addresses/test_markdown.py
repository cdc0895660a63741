import time

from lxml import html as parser
from markdown_it import MarkdownIt

from infra.plan.report.addresses.markdown import escape, render_markdown
from tests.markup import content, elements, strings
from tests.plan.report.addresses.plans import HOSTILE, hostile, lab, large


def seen(text: str) -> str:
    """Return HTML as a browser gets it from a Markdown renderer that lets HTML through."""
    return str(MarkdownIt("commonmark").enable("table").render(text))


def test_a_section_for_each_network_in_few_lines() -> None:
    text = render_markdown(lab())
    assert text.startswith("### ✅ Address plan lab: sound")
    assert "\n2 networks, 2 clusters, 29 addresses given out, 9 free in the pools\n" in text
    document = parser.document_fromstring(seen(text))
    assert strings(document, "//details/summary/text()") == [
        "infrastructure 192.168.1.0/24 untagged ",
        " 5 free",
        "aks 10.220.32.0/24 VLAN 110 ",
        " 4 free",
    ]
    rows = [[content(cell) for cell in row.iter("td")] for row in document.iter("tr")]
    assert [
        "10.220.32.21-25",
        "a-nodepool1-0…4",
        "worker",
        "5 addresses; the first: node 1 of 5 in pool nodepool1",
    ] in rows
    assert ["10.220.32.34-37", "FREE", "", "4 addresses in the pool"] in rows


def test_nothing_that_people_name_becomes_markup() -> None:
    document = parser.document_fromstring(seen(render_markdown(hostile())))
    used = " ".join(sorted({element.tag for element in document.iter()}))
    assert used == "body br code details h3 h4 html li p strong sub summary table tbody td th thead tr ul"
    shown = content(document).replace("\u200b", "")
    assert f"{HOSTILE} [{HOSTILE}]" in shown
    assert all(len(row.findall("td")) == 4 for row in elements(document, "//tbody/tr"))


def test_nobody_is_mentioned_and_no_issue_linked() -> None:
    text = escape("@all, owner/name#12, https://evil.example www.evil.example")
    assert not {"@all", "#12", "https://", "www."} & set(text.split())
    assert (
        text.replace("\u200b", "").replace("\\", "")
        == "@all, owner/name#12, https://evil.example www.evil.example"
    )
    assert "@\u200ball" in text
    assert ":\u200b//" in text


def test_thousands_of_nodes_fit_into_a_comment_within_a_second() -> None:
    plan = large()
    start = time.process_time()
    text = render_markdown(plan)
    assert time.process_time() - start < 1
    assert len(text) < 65_536
    assert "c31-pool3-0…48" in text
