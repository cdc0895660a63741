"""The loss report: all rules of an export, and what they say of one."""

from infra.export import left_out, refused  # each registers its rules
from infra.export.facts import ExportFacts
from infra.export.register import EXPORT_RULES, ExportRule
from infra.plan.rules import errors_first
from infra.spec.findings import Finding

__all__ = ["EXPORT_RULES", "ExportRule", "left_out", "losses", "refused"]


def losses(facts: ExportFacts) -> list[Finding]:
    """Return what doesn't carry: what Azure would refuse first, then what is left out or changed."""
    findings = (
        Finding(rule.id, rule.severity, facts.where(loss.file, loss.path), loss.message, loss.remedy)
        for rule in EXPORT_RULES.values()
        if facts.format in rule.formats
        for loss in rule.check(facts)
    )
    return errors_first(dict.fromkeys(findings))
