"""Results for scripts: JSON, and JUnit XML for CI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lxml import etree
from lxml.builder import E

from infra.doctor.checks import Result
from infra.doctor.report.inventory import inventory
from infra.doctor.survey import Survey


def as_json(survey: Survey) -> dict[str, Any]:
    """Return the JSON object of a survey."""
    return {
        "instance": survey.instance,
        "ok": survey.ok,
        "seconds": round(survey.seconds, 1),
        "counts": dict(Counter(result.status for result in survey.results)),
        "hosts": [
            {
                "name": report.host.name,
                "connection": report.host.connection,
                "inventory": inventory(report),
                "checks": [_check(result) for result in report.results],
            }
            for report in survey.hosts
        ],
        "site": [_check(result) for result in survey.site],
    }


def as_junit(survey: Survey) -> str:
    """Return JUnit XML: a suite for each host, a case for each check. A warning passes, and says so."""
    suites = [_suite(report.host.name, report.results) for report in survey.hosts]
    root = E.testsuites(*suites, _suite("all hosts", survey.site), name=f"azlocal doctor {survey.instance}")
    root.set("time", f"{survey.seconds:.1f}")
    for name, status in (("failures", "failed"), ("skipped", "skipped")):
        root.set(name, str(sum(result.status == status for result in survey.results)))
    root.set("tests", str(len(survey.results)))
    text: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)
    return text.decode()


def _check(result: Result) -> dict[str, str]:
    return {
        "id": result.check,
        "section": result.section,
        "title": result.title,
        "source": result.source,
        "status": result.status,
        "seen": result.seen,
        "remedy": result.remedy,
    }


def _suite(name: str, results: Iterable[Result]) -> Any:
    cases = [_case(name, result) for result in results]
    suite = E.testsuite(*cases, name=name, tests=str(len(cases)), errors="0")
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return suite


def _case(suite: str, result: Result) -> Any:
    case = E.testcase(name=result.check, classname=f"doctor.{suite}.{result.section}")
    if result.status == "failed":
        case.append(
            E.failure(f"{result.title}: {result.seen}\n{result.remedy}", message=result.seen, type=result.check)
        )
    elif result.status == "skipped":
        case.append(E.skipped(message=result.seen))
    else:
        text = f"{result.status}: {result.title}: {result.seen}"
        case.append(E("system-out", f"{text}\n{result.remedy}" if result.remedy else text))
    return case
