"""What a rule is, and the one register of all of them.

A rule is a small function that looks at facts and yields faults, under an id that findings carry. To add one,
write it in the module of its subject::

    @rule("vlan-out-of-range", source="API-LNET")
    def vlan_out_of_range(facts: Facts) -> Iterator[Fault]:
        '''A VLAN id lies in 0-4094.'''
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from infra.plan.locks import LockKind
from infra.plan.rules.facts import Facts
from infra.spec.findings import Finding, KeyPath, Severity
from infra.spec.loader import FileKind

Part = Literal["bounds", "addresses", "locks", "placement"]
"""What a rule is about: how much can be planned at all, then the parts of a plan."""
_PARTS: Final[tuple[Part, ...]] = ("bounds", "addresses", "locks", "placement")

MOST_OF_A_RULE: Final = 200  # nobody reads more; absurd input could have millions


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

    file: FileKind | LockKind
    path: KeyPath
    message: str
    remedy: str
    severity: Severity | None = None


Check = Callable[[Facts], Iterator[Fault]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A published rule.

    Attributes:
        id: Stable id, as findings carry it.
        severity: What breaking it means.
        source: Code of the document in azure_local_facts.md §0 or a section of it, or `azlocal` for our own.
        part: What it is about.
        check: Yields a fault for each place where it is broken; its docstring says the rule.
    """

    id: str
    severity: Severity
    source: str
    part: Part
    check: Check

    def findings(self, facts: Facts) -> Iterator[Finding]:
        """Yield a finding for each fault, up to a bound."""
        for number, fault in enumerate(self.check(facts)):
            place, severity = facts.where(fault.file, fault.path), fault.severity or self.severity
            if number == MOST_OF_A_RULE:
                message = f"there is more of this: {number} faults are listed"
                yield Finding(self.id, severity, place, message, "correct the listed ones, then plan again")
                return
            yield Finding(self.id, severity, place, fault.message, fault.remedy)


class Register:
    """Rules by their ids, in the order in which they were written."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules.values())

    def rule(
        self, rule_id: str, *, source: str, severity: Severity = "error", part: Part = "addresses"
    ) -> Callable[[Check], Check]:
        """Register a check under an id; the arguments are a rule's attributes.

        Raises:
            ValueError: The id is another rule's.
        """

        def register(check: Check) -> Check:
            if rule_id in self._rules:
                raise ValueError(f"two rules are called {rule_id}")
            self._rules[rule_id] = Rule(rule_id, severity, source, part, check)
            return check

        return register

    def check(self, facts: Facts, *parts: Part) -> list[Finding]:
        """Return what is found by the rules about these parts, in order."""
        return self.in_order(finding for rule in self if rule.part in parts for finding in rule.findings(facts))

    def in_order(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return findings once each: errors first, then by the part, then in the given order."""
        return errors_first(
            sorted(dict.fromkeys(findings), key=lambda finding: _PARTS.index(self._rules[finding.rule].part))
        )

    def about(self, findings: Iterable[Finding], *parts: Part) -> tuple[Finding, ...]:
        """Return those findings that come of rules about these parts."""
        about = {rule.id for rule in self if rule.part in parts}
        return tuple(finding for finding in findings if finding.rule in about)


def errors_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by severity, in the given order within each."""
    weight = {"error": 0, "warning": 1, "info": 2}
    return sorted(findings, key=lambda finding: weight[finding.severity])


RULES: Final = Register()
rule: Final = RULES.rule

__all__ = ["RULES", "Facts", "Fault", "Part", "Register", "Rule", "errors_first", "rule"]
