"""What a run's report says: to people, to CI, to the steps that follow."""

from __future__ import annotations

import json
from dataclasses import replace

from lxml import etree

from infra.stack.ci.report import EngineLog, Report, Step, junit, read_log, step_outputs, summary

MADE = Report(
    "up",
    "77-x",
    "ci0a1b2",
    "local",
    ("node1",),
    (Step("plan", 0.2), Step("lease", 0.4), Step("up", 61.04)),
    (("machines are up", 12.0), ("clusters are available", 58.3)),
    {
        "a": {
            "kubernetesVersion": "1.34.4",
            "endpoint": "https://10.198.1.23:6443",
            "context": "ci0a1b2-a",
            "loadBalancer": ["10.198.1.100-10.198.1.101"],
        }
    },
    "/p/.azlocal/ci/77-x/kubeconfig",
    "### Address plan\n",
)
FAILED = replace(
    MADE,
    steps=(Step("plan", 0.2), Step("up", 9.0, "cluster a isn't ready; it lacks:\n  - \x1b[1ma <node> & more")),
    clusters=None,
    kubeconfig="",
    artefacts="/p/artefacts",
)


def event(**content: object) -> str:
    return json.dumps({"sequence": 1, "timestamp": 1000, **content})


def test_what_the_engine_says_becomes_moments_and_errors() -> None:
    def made(kind: str, at: int, op: str = "create") -> str:
        return event(timestamp=at, resOutputsEvent={"metadata": {"type": kind, "op": op}})

    def said(severity: str, text: str) -> str:
        return event(diagnosticEvent={"severity": severity, "message": text})

    lines = [
        made("azlocal:index:Machine", 1010),
        made("azlocal:index:Image", 1004),
        made("azlocal:index:Machine", 1012),
        made("azlocal:index:Cluster", 1030, "same"),
        made("other:index:Thing", 1040),
        said("error", "<{%reset%}>no room<{%reset%}>\n"),
        said("error", "no room"),
        said("warning", "old"),
        said("info", "x"),
        '{"sequence": 9, "diagn',
    ]
    assert read_log(lines, 1000.0) == EngineLog(
        (("the image is on the hosts", 4.0), ("machines are up", 12.0)), ("no room",), ("old",)
    )


def test_junit_has_a_case_for_each_step_and_the_failure_whole() -> None:
    (sound,) = etree.fromstring(junit(MADE).encode())
    assert (sound.get("tests"), sound.get("failures")) == ("3", "0")
    (suite,) = etree.fromstring(junit(FAILED).encode())
    assert [case.get("name") for case in suite.findall("testcase")] == ["plan", "up"]
    (failure,) = suite.findall("testcase/failure")
    assert failure.get("message") == "cluster a isn't ready; it lacks:"
    assert str(failure.text).endswith("- \N{REPLACEMENT CHARACTER}[1ma <node> & more")


def test_a_summary_says_how_it_ended_where_things_are_and_what_took_how_long() -> None:
    text = summary(MADE)
    assert text.startswith("### \N{WHITE HEAVY CHECK MARK} `azlocal ci up` done: run 77-x of stack local\n")
    assert "| up | 61.0 |" in text
    assert "| machines are up | 12.0 |" in text
    assert "| a | 1.34.4 | https:\u200b//10.198.1.23:6443 | 10.198.1.100, 10.198.1.101 |" in text
    assert text.endswith("### Address plan\n")
    failed = summary(FAILED)
    assert failed.startswith("### \N{CROSS MARK} `azlocal ci up` failed")
    assert "    cluster a isn't ready; it lacks:\n" in failed
    assert "More is in `/p/artefacts`." in failed


def test_later_steps_get_values_of_one_line_each() -> None:
    lines = step_outputs(MADE, "/p/report").splitlines()
    assert "kubeconfig=/p/.azlocal/ci/77-x/kubeconfig" in lines
    assert "load-balancer=10.198.1.100,10.198.1.101" in lines
    assert "report=/p/report" in lines
    sly = step_outputs(replace(MADE, kubeconfig="/p/a\nreport=/etc"), "/p/report").splitlines()
    assert [line for line in sly if line.startswith(("report=", "kubeconfig="))] == ["report=/p/report"]


def test_json_has_each_cluster_with_its_addresses_and_no_secret() -> None:
    content = MADE.to_json()
    assert content["ok"]
    assert content["clusters"]["a"]["loadBalancer"] == ["10.198.1.100", "10.198.1.101"]
    assert (content["seconds"], content["artefacts"]) == (61.6, None)
    assert not FAILED.to_json()["ok"]
