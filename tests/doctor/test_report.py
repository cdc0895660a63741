"""The results as tables, JSON and JUnit XML."""

from __future__ import annotations

import json
from dataclasses import replace

from lxml import etree

from infra.doctor.checks import Subject, judge_host, judge_site
from infra.doctor.facts import Access, unreached
from infra.doctor.report.output import as_json, as_junit
from infra.doctor.report.table import render_survey
from infra.doctor.survey import HostReport, Survey
from tests.doctor.planting import fact, refused, runs
from tests.doctor.samples import subjects


def surveyed(several: list[Subject]) -> Survey:
    hosts = tuple(HostReport(one.host, one.facts, tuple(judge_host(one))) for one in several)
    return Survey("lab", hosts, tuple(judge_site(several)), 4.2)


def faulty() -> Survey:
    several = subjects()
    for index in (1, 3):
        several[index] = fact("system", tpm_version=None)(several[index])
    several[2] = refused("unreachable", "root@192.168.1.13: no connection. Is the host on?")(several[2])
    return surveyed(several)


def test_healthy_site_in_a_table() -> None:
    text = render_survey(surveyed(subjects()))
    assert "node1" in text
    assert "✗" not in text
    assert "!" not in text
    assert text.rstrip().splitlines()[-1].startswith("lab: 4 hosts, ")


def test_same_fault_of_two_hosts_is_told_once() -> None:
    text = render_survey(faulty())
    assert text.count("no TPM") == 1
    assert "TPM 2.0  [tpm]  node2, node4" in text
    assert "✗ Host answers  [reachable]  node3" in text
    assert "→ Is the host on?" in text
    assert " checks: no login" in text
    assert text.index("[reachable]") < text.index("[tpm]")  # what failed comes first


def test_one_host_shows_what_was_seen() -> None:
    text = render_survey(surveyed(subjects()[:1]))
    assert "a probe guest booted under kvm" in text
    assert "✓" in text


def test_table_keeps_its_width() -> None:
    for survey in (faulty(), surveyed(subjects()[:1])):
        assert max(map(len, render_survey(survey, width=80).splitlines())) <= 80


def test_json() -> None:
    found = json.loads(json.dumps(as_json(faulty())))
    assert (found["instance"], found["ok"], found["counts"]["failed"]) == ("lab", False, 1)
    assert [host["name"] for host in found["hosts"]] == ["node1", "node2", "node3", "node4"]
    assert found["hosts"][0]["inventory"]["libvirt"] == "9.0.0"
    assert found["hosts"][2]["inventory"] == dict.fromkeys(found["hosts"][2]["inventory"])
    check = next(one for one in found["hosts"][1]["checks"] if one["id"] == "tpm")
    assert check["status"] == "warning"
    assert set(check) == {"id", "section", "title", "source", "status", "seen", "remedy"}


def test_junit_counts_what_it_holds() -> None:
    survey = faulty()
    root = etree.fromstring(as_junit(survey).encode())
    cases = root.findall("testsuite/testcase")
    assert int(root.get("tests", "0")) == len(cases) == len(survey.results)
    assert int(root.get("failures", "0")) == len(root.findall("testsuite/testcase/failure")) == 1
    assert int(root.get("skipped", "0")) == len(root.findall("testsuite/testcase/skipped"))
    assert sum(int(suite.get("tests", "0")) for suite in root) == len(cases)
    [failure] = root.findall("testsuite/testcase/failure")
    assert "Is the host on?" in (failure.text or "")
    warned = next(one for one in root[1] if one.get("name") == "tpm")
    assert (warned.findtext("system-out") or "").startswith("warning: TPM 2.0: no TPM")


def test_junit_holds_whatever_a_host_says() -> None:
    nasty = runs("debian", "a\x00b\x1b[31m<&>]]>\ud800", version="1")(subjects()[0])
    survey = surveyed([nasty])
    root = etree.fromstring(as_junit(survey).encode())
    assert "a�b�[31m<&>]]>�" in (root.findtext("testsuite/testcase/failure") or "")
    assert "\x1b" not in render_survey(survey)
    assert "\x1b" not in json.dumps(as_json(survey), ensure_ascii=False)


def test_a_host_of_which_nothing_is_known() -> None:
    one = subjects()[0]
    silent = replace(one, facts=unreached(Access("unreachable", "gone. Look"), "gone"))
    assert "?" in render_survey(surveyed([silent]))
