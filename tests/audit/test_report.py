"""How an audit is told: exit code, proof, table, JSON, JUnit."""

from __future__ import annotations

import json

import pytest
from lxml import etree

from infra.audit.model import Audit, Item, Place
from infra.audit.report import as_json, as_junit, as_table, proof

CLEAN = Place("node1", looked_at=214, since="2026-11-30 08:00 UTC")
LEFT = Place("node2", (Item("leftover", "domain", "lab-rb-0"),), looked_at=10, since="2026-11-30 08:00 UTC")
OFF = Place("node3", unseen={"": "no route to host"})
HALF = Place("node4", looked_at=3, unseen={"libvirt": "`virsh` didn't end in time"})
LOST = Place("node5", given_up="the hosts file gives it up (lost: true)")
PLANTED = Place("node6", (Item("unexplained", "link", "br-planted"),), looked_at=5, since="2026-11-30 08:00 UTC")
OLD = Place("node7", looked_at=7)


@pytest.mark.parametrize(
    ("hosts", "strict", "code"),
    [
        ((CLEAN,), False, 0),
        ((CLEAN, LOST), False, 0),
        ((CLEAN, OFF), False, 1),
        ((CLEAN, HALF), False, 1),
        ((LEFT, OFF), False, 2),
        ((PLANTED,), False, 0),
        ((PLANTED,), True, 2),
        ((), False, 0),
    ],
)
def test_how_it_ends(hosts: tuple[Place, ...], strict: bool, code: int) -> None:
    assert Audit("lab", hosts, strict=strict).exit_code == code


def test_the_line_of_proof() -> None:
    assert proof(Audit("lab", (CLEAN,), seconds=0.81)) == (
        "nothing of lab is left on 1 host: 214 objects looked at in 0.8 s"
    )
    assert proof(Audit("lab", (CLEAN, LEFT), seconds=1)) == (
        "1 object of lab still there: node2: domain lab-rb-0 (224 objects looked at in 1.0 s)"
    )
    assert "not looked at: node3: no route to host; node4: libvirt: `virsh` didn't" in proof(
        Audit("lab", (CLEAN, OFF, HALF))
    )
    assert "nothing of lab is left on 2 hosts" in proof(Audit("lab", (CLEAN, OFF, HALF)))
    assert proof(Audit("lab", (OFF,))).startswith("no host was looked at")
    assert "not asked, as lost: node5" in proof(Audit("lab", (CLEAN, LOST)))
    assert "1 other object came meanwhile without a mark: link br-planted" in proof(Audit("lab", (PLANTED,)))
    assert "by mark alone where no inventory was taken" in proof(Audit("lab", (CLEAN, OLD)))


def test_the_table_says_where_what_is() -> None:
    azure = Place("Azure", (Item("leftover", "arm", "lab-a", "in resource group lab", is_certain=False),))
    text = as_table(Audit("lab", (CLEAN, LEFT, OFF, LOST, OLD, PLANTED), (azure,), 2.5))
    for line in (
        "node1: 214 objects looked at, compared with the inventory of 2026-11-30 08:00 UTC",
        "  left of it      domain lab-rb-0",
        "  not looked at   no route to host",
        "node5: not asked: the hosts file gives it up (lost: true)",
        "node7: 7 objects looked at, by mark alone: no inventory was taken",
        "  came since, without a mark link br-planted",
        "  left of it      arm lab-a (in resource group lab)",
        "lab: 2 objects wrong, 1 look failed (236 objects in 2.5 s)",
    ):
        assert f"{line}\n" in text
    assert as_table(Audit("lab", (CLEAN,), (), 1)).endswith(
        "lab: all is as its state says (214 objects in 1.0 s)\n"
    )


def test_the_json_is_for_scripts() -> None:
    content = json.loads(json.dumps(as_json(Audit("lab", (LEFT, HALF), seconds=1.234))))
    assert (content["ok"], content["clean"], content["exitCode"]) == (False, False, 2)
    assert (content["counts"], content["lookedAt"], content["seconds"]) == ({"leftover": 1}, 13, 1.23)
    left, half = content["hosts"]
    assert left["objects"] == [
        {"verdict": "leftover", "kind": "domain", "name": "lab-rb-0", "note": "", "byMark": True}
    ]
    assert half["notLookedAt"] == [{"what": "libvirt", "reason": "`virsh` didn't end in time"}]
    assert as_json(Audit("lab", (CLEAN,)))["ok"] is True


def test_junit_fails_what_is_wrong_and_is_an_error_where_nobody_looked() -> None:
    root = etree.fromstring(as_junit(Audit("lab", (CLEAN, LEFT, OFF, LOST, PLANTED))).encode())
    assert (root.get("failures"), root.get("errors")) == ("1", "1")
    by_name = {suite.get("name"): suite for suite in root}
    assert by_name["node2"].findtext("testcase[@name='leftover']/failure") == "domain lab-rb-0"
    assert by_name["node3"].find("testcase[@name='looked-at']/error") is not None
    assert by_name["node1"].get("failures") == "0"
    assert by_name["node5"].get("skipped") != "0"
    assert by_name["node6"].findtext("testcase[@name='unexplained']/system-out") == "link br-planted"
    strict = etree.fromstring(as_junit(Audit("lab", (PLANTED,), strict=True)).encode())
    assert strict.get("failures") == "1"
