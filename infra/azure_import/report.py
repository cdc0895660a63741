"""The loss report of an import: its rules, and what they say of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from infra.azure_import.things import Thing
from infra.spec.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class ImportRule:
    """What has to be so that an import is all that Azure says (`error`), or that none of it is lost or guessed.

    Attributes:
        id: Stable id, as findings carry it.
        severity: What it means where it isn't so.
        source: Where that is published; see a plan's rules.
        text: The rule.
    """

    id: str
    severity: Severity
    source: str
    text: str


IMPORT_RULES: Final[dict[str, ImportRule]] = {
    rule.id: rule
    for rule in (
        ImportRule("import-unknown-file", "error", "azure_parity §3.5", "A file's content is of a known kind."),
        ImportRule("import-broken-file", "error", "RFC 8259; Bicep", "A file can be read to its end."),
        ImportRule("import-twice", "error", "arc_facts §1.10", "What has a name in Azure is in the files once."),
        ImportRule(
            "import-missing-network", "error", "API-GA vnetSubnetIds", "A cluster's logical network is in a file."
        ),
        ImportRule(
            "import-missing-cluster", "error", "API-GA", "The cluster that something is of or on is in a file."
        ),
        ImportRule(
            "import-several-instances",
            "error",
            "API-GA extendedLocation",
            "All networks and clusters are of one Azure Local instance.",
        ),
        ImportRule(
            "import-not-modelled", "error", "azure_parity §2", "What Azure has can be said in the project's files."
        ),
        ImportRule(
            "import-name", "error", "azlocal", "A cluster's name in Azure leads to one that no other cluster has."
        ),
        ImportRule(
            "import-left-out", "warning", "azure_parity §2", "What Azure says, and these files can't, is named."
        ),
        ImportRule(
            "import-guessed", "warning", "azure_parity §3.5", "What Azure doesn't say is filled in by a person."
        ),
        ImportRule(
            "import-incomplete", "warning", "azure_parity §3.5", "The files are all that there is in Azure."
        ),
        ImportRule("import-address-in-pool", "warning", "PS", "An API server's address lies outside the pools."),
        ImportRule(
            "import-secret", "warning", "arc_facts §4.1", "Azure shows no protected setting: a person gives each."
        ),
        ImportRule("import-not-read", "info", "azlocal", "A folder has only files that an import reads."),
        ImportRule("import-renamed", "info", "API-TSP", "A name in Azure is one that is allowed here, too."),
        ImportRule("import-not-connected", "info", "azlocal", "Clusters are connected to an Azure here, too."),
    )
}
"""All rules of an import by their ids, errors first."""


NO_PLACE: Final = "no file here has a place for it"
NOT_MISSED: Final = "nothing to do, if it isn't missed"


@dataclass
class Report:
    """What is wrong with an import, as it is found."""

    _findings: list[Finding] = field(default_factory=list)
    _lost: dict[tuple[str, str, str], list[tuple[Thing, str]]] = field(default_factory=dict)

    @property
    def findings(self) -> list[Finding]:
        """Return what was said; what is lost of several alike is said once."""
        rule = IMPORT_RULES["import-left-out"]
        findings = list(self._findings)
        for (key, why, remedy), places in self._lost.items():
            (place, owner), more = places[0], len(places) - 1
            also = f", and {more} more" if more else ""
            message = f"`{key}` of {owner} isn't imported{also}: {why}"
            findings.append(Finding(rule.id, rule.severity, place.where, message, remedy))
        return findings

    def lose(self, thing: Thing, key: str, owner: str, why: str, remedy: str) -> None:
        """Say what isn't imported, though Azure says it.

        Args:
            thing: What is lost.
            key: Azure's key.
            owner: What has it.
            why: Why it isn't.
            remedy: What to do.
        """
        self._lost.setdefault((key, why, remedy), []).append((thing, owner))

    def say(self, rule: str, place: Thing | str, message: str, remedy: str) -> None:
        """Say what isn't so.

        Args:
            rule: The rule's id.
            place: What it is about, or where that stands.
            message: What is there, and what becomes of it.
            remedy: What to do.
        """
        where = place if isinstance(place, str) else place.where
        self._findings.append(Finding(rule, IMPORT_RULES[rule].severity, where, message, remedy))
