"""What a rule is: a small function that looks at facts and yields faults, under an id that findings carry.

A register holds the rules of one part, which all look at the same kind of facts::

    RULES: Register[Facts] = Register()

    @RULES.rule("vlan-out-of-range", source="API-LNET")
    def vlan_out_of_range(facts: Facts) -> Iterator[Fault]:
        '''A VLAN id lies in 0-4094.'''
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from infra.spec.findings import Finding, KeyPath, Severity
from infra.spec.loader import FileKind, Sources

MOST_OF_A_RULE = 200  # nobody reads more; absurd input could have millions

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where a rule is broken.

    Attributes:
        file: The file to correct.
        path: The place in it.
        message: What was found.
        remedy: What to do.
        severity: How bad it is here, where that isn't the same everywhere.
    """

    file: FileKind
    path: KeyPath
    message: str
    remedy: str
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Rule(Generic[Facts]):
    """A published rule: its id, how bad it is to break, where it is published, and the check."""

    id: str
    severity: Severity
    source: str
    check: Callable[[Facts], Iterator[Fault]]


class Register(list[Rule[Facts]]):
    """All rules of one part, in the order in which they were written."""

    def rule(
        self, rule_id: str, *, source: str, severity: Severity = "error"
    ) -> Callable[[Callable[[Facts], Iterator[Fault]]], Callable[[Facts], Iterator[Fault]]]:
        """Register a check under an id.

        Args:
            rule_id: Stable id, as findings carry it.
            source: Code of the document in azure_local_facts.md §0 or a section of it, or `azlocal` for our own.
            severity: What breaking it means.
        """

        def register(check: Callable[[Facts], Iterator[Fault]]) -> Callable[[Facts], Iterator[Fault]]:
            self.append(Rule(rule_id, severity, source, check))
            return check

        return register

    def check_all(self, facts: Facts, sources: Sources) -> list[Finding]:
        """Return every fault of every rule, errors first, then in the rules' order; of one rule up to a bound."""
        return errors_first(finding for one in self for finding in _check(one, facts, sources))


def errors_first(findings: Iterator[Finding] | list[Finding]) -> list[Finding]:
    """Return findings by severity, in the given order within each."""
    weight = {"error": 0, "warning": 1, "info": 2}
    return sorted(findings, key=lambda finding: weight[finding.severity])


def _check(one: Rule[Facts], facts: Facts, sources: Sources) -> Iterator[Finding]:
    for number, fault in enumerate(one.check(facts)):
        place, severity = sources.where(fault.file, fault.path), fault.severity or one.severity
        if number == MOST_OF_A_RULE:
            message = f"there is more of this: {number} faults are listed"
            yield Finding(one.id, severity, place, message, "correct the listed ones, then plan again")
            return
        yield Finding(one.id, severity, place, fault.message, fault.remedy)
