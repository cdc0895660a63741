"""What an export is checked against: rules like a plan's, that know the formats they hold for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from infra.export.facts import ExportFacts, ExportFile, Format
from infra.spec.findings import KeyPath, Severity

ALL: Final = frozenset(Format)


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that doesn't carry.

    Attributes:
        file: The file that says it, or that ought to.
        path: The place in it.
        message: What is there, and what becomes of it.
        remedy: What to do.
    """

    file: ExportFile
    path: KeyPath
    message: str
    remedy: str


Check = Callable[[ExportFacts], Iterator[Loss]]


@dataclass(frozen=True, slots=True)
class ExportRule:
    """What has to be so that Azure takes an export (`error`), or that all of a plan is in it.

    Attributes:
        id: Stable id, as findings carry it.
        severity: What it means where it isn't so.
        source: Where that is published; see a plan's rules.
        formats: The formats that it holds for.
        check: Yields what isn't so; its docstring says the rule.
    """

    id: str
    severity: Severity
    source: str
    formats: Collection[Format]
    check: Check


EXPORT_RULES: Final[dict[str, ExportRule]] = {}
"""All rules of an export by their ids; see `infra.export.rules`."""


def rule(
    rule_id: str, *, source: str, severity: Severity = "error", formats: Collection[Format] = ALL
) -> Callable[[Check], Check]:
    """Register a check under an id; the arguments are a rule's attributes."""

    def register(check: Check) -> Check:
        EXPORT_RULES[rule_id] = ExportRule(rule_id, severity, source, formats, check)
        return check

    return register
