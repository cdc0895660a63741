"""From facts to results. Pure: the same facts always give the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

# isort: off
# Importing a module registers its checks; reports show them in this order.
from infra.doctor.checks import access as access
from infra.doctor.checks import system as system
from infra.doctor.checks import hypervisor as hypervisor
from infra.doctor.checks import hardware as hardware
from infra.doctor.checks import storage as storage
from infra.doctor.checks import network as network
from infra.doctor.checks import reach as reach
from infra.doctor.checks import leftovers as leftovers
from infra.doctor.checks import site as site
# isort: on

from infra.doctor.checks.base import (
    HOST_CHECKS,
    SITE_CHECKS,
    HostCheck,
    Result,
    SiteCheck,
    Skip,
    Status,
    Subject,
    Verdict,
    printable,
    warning,
)

__all__ = ["HOST_CHECKS", "SITE_CHECKS", "Result", "Status", "Subject", "judge_host", "judge_site"]


def judge_host(subject: Subject) -> Iterator[Result]:
    """Yield the result of every check of one host."""
    for check in HOST_CHECKS:
        yield _result(check, subject.host.name, _verdict(partial(check.judge, subject)))


def judge_site(subjects: Sequence[Subject]) -> Iterator[Result]:
    """Yield the result of every check of all hosts together."""
    for check in SITE_CHECKS:
        yield _result(check, None, _verdict(partial(check.judge, subjects)))


def _verdict(judge: Callable[[], Verdict]) -> Verdict:
    try:
        return judge()
    except Skip as skip:
        return Verdict("skipped", str(skip))
    except Exception as error:  # noqa: BLE001 - one check's fault must not hide what the others found
        seen = f"the check itself failed: {type(error).__name__}: {error}"
        return warning(seen, "report it, with the host's `azlocal doctor --format json`; the other checks hold")


def _result(check: HostCheck | SiteCheck, host: str | None, verdict: Verdict) -> Result:
    return Result(
        check.id,
        check.section,
        check.title,
        check.source,
        host,
        verdict.status,
        printable(verdict.seen),
        printable(verdict.remedy),
    )
