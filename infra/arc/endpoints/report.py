"""Findings about endpoints, as a table for people and as JSON for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.arc.endpoints.judge import Finding, Status

_LOOKS: Final[dict[Status, tuple[str, str]]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}
"""A sign and a style: colour is never the only channel."""


def is_sound(findings: Sequence[Finding]) -> bool:
    """Return whether nothing failed."""
    return not any(finding.status == "failed" for finding in findings)


def as_json(cluster: str, cloud: str, location: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the JSON object of findings."""
    return {
        "cluster": cluster,
        "cloud": cloud,
        "location": location,
        "ok": is_sound(findings),
        "counts": dict(Counter(finding.status for finding in findings)),
        "endpoints": [_endpoint(finding) for finding in findings if finding.endpoint is not None],
        "clocks": [
            {"node": finding.place, "status": finding.status, "seen": finding.seen, "remedy": finding.remedy}
            for finding in findings
            if finding.endpoint is None
        ],
    }


def _endpoint(finding: Finding) -> dict[str, Any]:
    endpoint, answer = finding.endpoint, finding.answer
    if endpoint is None:
        raise AssertionError("asked for endpoints only")
    return {
        "node": finding.place,
        "name": endpoint.name,
        "port": endpoint.port,
        "purpose": endpoint.purpose,
        "required": endpoint.is_required,
        "status": finding.status,
        "seen": finding.seen,
        "remedy": finding.remedy,
        "stage": answer.stage if answer else None,
        "addresses": list(answer.addresses) if answer else [],
        "proxy": answer.by_proxy if answer else False,
        "issuer": answer.issuer if answer else None,
    }


def print_findings(title: str, findings: Sequence[Finding], console: Console) -> None:
    """Print a row for each endpoint and node, and what to do."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for heading in ("", "Endpoint", "Purpose", "Node", "Seen"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("", "Node"))
    for finding in findings:
        sign, style = _LOOKS[finding.status]
        name = str(finding.endpoint) if finding.endpoint else "clock"
        purpose = finding.endpoint.purpose if finding.endpoint else ""
        table.add_row(Text(sign, style), Text(name), Text(purpose), Text(finding.place or "-"), Text(finding.seen))
    console.print(table)
    remedies = dict.fromkeys(finding.remedy for finding in findings if finding.remedy)
    for remedy in remedies:
        console.print(Text.assemble(("→ ", "bold"), remedy))
    counts = Counter(finding.status for finding in findings)
    summary = ", ".join(f"{counts[status]} {status}" for status in _LOOKS if counts[status])
    console.print(summary, style="" if is_sound(findings) else "bold red", highlight=False)
