"""An export: its loss report, and what is written where nothing in it is an error."""

from __future__ import annotations

from infra.export.arm import to_arm
from infra.export.az import to_az
from infra.export.bicep import to_bicep
from infra.export.facts import ExportFacts, Format
from infra.export.odin import to_odin
from infra.export.output import Export
from infra.export.rules import losses
from infra.export.terraform import to_terraform
from infra.export.wanted import wanted
from infra.plan.rules import errors_first
from infra.spec import Finding


def export(facts: ExportFacts) -> tuple[Export, list[Finding]]:
    """Return what an export writes, and its loss report; nothing is written where the report has an error.

    The plan's own errors are part of the report: what isn't sound here isn't carried anywhere.
    """
    broken = [finding for finding in facts.plan.findings if finding.severity == "error"]
    report = errors_first([*broken, *losses(facts)])
    if any(finding.severity == "error" for finding in report):
        return Export(), report
    return _written(facts), report


def _written(facts: ExportFacts) -> Export:
    vault, arc, instance = facts.target.ssh_key_vault, facts.spec.stack.arc, facts.target.instance
    match facts.format:
        case Format.BICEP:
            return to_bicep(wanted(facts), vault)
        case Format.TERRAFORM:
            return to_terraform(wanted(facts), vault)
        case Format.AZ:
            return to_az(wanted(facts), arc.gateway if arc is not None else None)
        case Format.ODIN:
            return to_odin(facts)
        case Format.ARM if instance is not None:
            return to_arm(facts, instance)
    return Export()  # a target without its instance, which a rule refuses
