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
        "counts": dict(Counter(one.status for one in survey.results)),
        "hosts": [
            {
                "name": report.host.name,
                "connection": report.host.connection,
                "inventory": inventory(report),
                "checks": [_check(one) for one in report.results],
            }
            for report in survey.hosts
        ],
        "site": [_check(one) for one in survey.site],
    }


def as_junit(survey: Survey) -> str:
    """Return JUnit XML: a suite for each host, a case for each check. A warning passes, and says so."""
    suites = [_suite(report.host.name, report.results) for report in survey.hosts]
    root = E.testsuites(*suites, _suite("all hosts", survey.site), name=f"azlocal doctor {survey.instance}")
    root.set("time", f"{survey.seconds:.1f}")
    for name, status in (("failures", "failed"), ("skipped", "skipped")):
        root.set(name, str(sum(one.status == status for one in survey.results)))
    root.set("tests", str(len(survey.results)))
    text: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)
    return text.decode()


def _check(one: Result) -> dict[str, str]:
    return {
        "id": one.check,
        "section": one.section,
        "title": one.title,
        "source": one.source,
        "status": one.status,
        "seen": one.seen,
        "remedy": one.remedy,
    }


def _suite(name: str, results: Iterable[Result]) -> Any:
    cases = [_case(name, one) for one in results]
    suite = E.testsuite(*cases, name=name, tests=str(len(cases)), errors="0")
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return suite


def _case(suite: str, one: Result) -> Any:
    case = E.testcase(name=one.check, classname=f"doctor.{suite}.{one.section}")
    if one.status == "failed":
        case.append(E.failure(f"{one.title}: {one.seen}\n{one.remedy}", message=one.seen, type=one.check))
    elif one.status == "skipped":
        case.append(E.skipped(message=one.seen))
    else:
        said = f"{one.status}: {one.title}: {one.seen}"
        case.append(E("system-out", f"{said}\n{one.remedy}" if one.remedy else said))
    return case
