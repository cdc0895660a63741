"""Connections as text: a table for people, CSV for spreadsheets and tickets, JSON, and rules for nftables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.firewall.flow import ANY_PORT, Flow, Party
from infra.plan.addresses.numbers import range_text

_HEADINGS: Final = (
    "Source",
    "From",
    "Target",
    "To",
    "Protocol",
    "Ports",
    "Purpose",
    "Rule",
    "Needs",
    "Within subnet",
)
_UNFOLDED: Final = 1000
_LONGEST_COMMENT: Final = 120  # of nftables' 128 characters
_SECTIONS: Final = (
    ("Between networks, and with what lies outside", "lab", False),
    ("Within a subnet: only hosts' own firewalls are in the way", "lab", True),
    ("What only real Azure Local needs; nothing in the lab listens there", "azureLocal", None),
)


def as_json(instance: str, flows: Sequence[Flow]) -> dict[str, Any]:
    """Return the JSON object of an instance's connections."""
    return {"instance": instance, "connections": [flow.to_json() for flow in flows]}


def render_csv(flows: Sequence[Flow]) -> str:
    """Return them as CSV (RFC 4180), a line each."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_HEADINGS)
    for flow in flows:
        within = "yes" if flow.is_within else "no"
        ends = (flow.source.name, flow.source.where, flow.target.name, flow.target.where)
        writer.writerow((*ends, flow.protocol, flow.ports_text, flow.purpose, flow.rule, flow.needs, within))
    return text.getvalue()


def render_tables(flows: Sequence[Flow]) -> str:
    """Return the tables as plain text, no line of which is folded."""
    console = Console(width=_UNFOLDED, force_terminal=False, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        print_tables(flows, console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def print_tables(flows: Sequence[Flow], console: Console) -> None:
    """Print them, in three parts."""
    for title, needs, within in _SECTIONS:
        part = [flow for flow in flows if flow.needs == needs and within in {None, flow.is_within}]
        if not part:
            continue
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
        for heading, is_whole in (("From", False), ("To", False), ("", True), ("Ports", True), ("For", False)):
            table.add_column(heading, no_wrap=is_whole, overflow="fold")
        for flow in part:
            purpose = flow.purpose if flow.is_required else f"{flow.purpose} (optional)"
            why = Text.assemble(purpose, (f"  {flow.rule}", "dim"))
            table.add_row(_end(flow.source), _end(flow.target), flow.protocol, flow.ports_text, why)
        console.print(table)


def _end(party: Party) -> Text:
    where = party.where
    if where in {"", party.name}:
        return Text(party.name)
    return Text.assemble(party.name, ("\n" + where.replace(", ", "\n"), "dim"))


def render_nftables(instance: str, flows: Sequence[Flow]) -> str:
    """Return a table for nftables with a chain of what is let through, to be jumped to from a router's own rules.

    What has no addresses here stands in it as comments: names are for firewalls that know them.
    """
    lines = [
        f"# What instance {instance} needs of a router between its networks; made by `azlocal plan --firewall`.",
        "# It has no hook: jump to it from your own chain, as in: jump azlocal (before what drops).",
        f"table inet azlocal_{instance.replace('-', '_')} {{",
        "  chain azlocal {",
        "    ct state established,related accept",
    ]
    by_name = []
    for flow in flows:
        if flow.is_within:
            continue
        # A rule must name an address, lest it lets everybody through.
        if flow.target.host or flow.source.host or not (flow.source.ranges or flow.target.ranges):
            by_name.append(flow)
        else:
            lines.append(f"    {_rule(flow)}")
    lines += ["  }", "}"]
    lines += [f"# by name: {_named(flow)}" for flow in by_name]
    return "\n".join(lines) + "\n"


def _rule(flow: Flow) -> str:
    parts = []
    for keyword, party in (("saddr", flow.source), ("daddr", flow.target)):
        if party.ranges:
            parts.append(f"ip {keyword} {_set(map(range_text, party.ranges))}")
    parts.append(f"meta l4proto {_set(flow.protocol.split(', '))}")
    if flow.ports not in {(), (ANY_PORT,)}:
        parts.append(f"th dport {_set(flow.ports_text.split(', '))}")
    comment = f"{flow.source.name} to {flow.target.name}: {flow.purpose} ({flow.rule})".replace('"', "'")
    return f'{" ".join(parts)} accept comment "{comment[:_LONGEST_COMMENT]}"'


def _set(values: Iterable[str]) -> str:
    each = list(values)
    return each[0] if len(each) == 1 else f"{{ {', '.join(each)} }}"


def _named(flow: Flow) -> str:
    source = f"{flow.source.name} ({flow.source.where})" if flow.source.where else flow.source.name
    target = flow.target.where or flow.target.name
    return f"{flow.protocol} {flow.ports_text} from {source} to {target}: {flow.purpose}"
