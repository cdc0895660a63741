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
    return not any(one.status == "failed" for one in findings)


def as_json(cluster: str, cloud: str, location: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the JSON object of findings."""
    return {
        "cluster": cluster,
        "cloud": cloud,
        "location": location,
        "ok": is_sound(findings),
        "counts": dict(Counter(one.status for one in findings)),
        "endpoints": [_endpoint(one) for one in findings if one.endpoint is not None],
        "clocks": [
            {"node": one.place, "status": one.status, "seen": one.seen, "remedy": one.remedy}
            for one in findings
            if one.endpoint is None
        ],
    }


def _endpoint(one: Finding) -> dict[str, Any]:
    endpoint, answer = one.endpoint, one.answer
    if endpoint is None:
        raise AssertionError("asked for endpoints only")
    return {
        "node": one.place,
        "name": endpoint.name,
        "port": endpoint.port,
        "purpose": endpoint.purpose,
        "required": endpoint.is_required,
        "status": one.status,
        "seen": one.seen,
        "remedy": one.remedy,
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
    for one in findings:
        sign, style = _LOOKS[one.status]
        name = str(one.endpoint) if one.endpoint else "clock"
        purpose = one.endpoint.purpose if one.endpoint else ""
        table.add_row(Text(sign, style), Text(name), Text(purpose), Text(one.place or "-"), Text(one.seen))
    console.print(table)
    remedies = dict.fromkeys(one.remedy for one in findings if one.remedy)
    for remedy in remedies:
        console.print(Text.assemble(("→ ", "bold"), remedy))
    counts = Counter(one.status for one in findings)
    said = ", ".join(f"{counts[status]} {status}" for status in _LOOKS if counts[status])
    console.print(said, style="" if is_sound(findings) else "bold red", highlight=False)
