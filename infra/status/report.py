"""How an instance is, for people: what is the matter first, then everything in tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.counting import counted
from infra.status.model import (
    Certificate,
    ClusterStatus,
    HostStatus,
    Level,
    MachineStatus,
    NetworkStatus,
    Phase,
    Reason,
    RunStatus,
    Share,
    Status,
)
from infra.status.trouble import each_of

_SIGNS: Final[dict[Level, tuple[str, str]]] = {
    "wrong": ("✗", "bold red"),
    "unknown": ("?", "bold magenta"),
    "warning": ("!", "yellow"),
}
"""A sign and a style: colour is never the only channel."""
_OK: Final = ("✓", "green")
_BUSY: Final = ("…", "bold blue")
_SHOWN: Final = 8
"""Of what follows from one cause; --format json has all."""
_ENDS_SOON: Final = 3
_NOTHING: Final = "-"


def rendered(status: Status) -> RenderableType:
    """Return how an instance is, as rich prints it."""
    parts: list[RenderableType] = [_headline(status)]
    if status.run is not None:
        parts += _run(status.run)
    for reason in status.reasons:
        parts += _reason(reason, 1)
    for table in (
        _hosts(status.hosts),
        _machines(status.machines),
        _clusters(status.clusters, status.asked_at),
        _networks(status.networks),
        _certificates(status.certificates, status.asked_at),
    ):
        if table.row_count:
            parts += [Text(""), table]
    return Group(*parts)


def summary(status: Status) -> str:
    """Return it in a clause."""
    if status.run is not None:
        run = status.run
        expected = f" (last time {span(run.expected_seconds)})" if run.expected_seconds else ""
        return f"{run.command or 'a run'} of {run.owner} goes on, {span(run.seconds)}{expected}"
    if status.state == "ok":
        return "everything planned is running"
    counts = {level: sum(each.level == level for each in status.reasons) for level in _SIGNS}
    every = sum(each.level == "wrong" for each in each_of(status.reasons))
    parts = []
    if every:
        causes = [each for each in status.reasons if each.level == "wrong"]
        first = f"{causes[0].subject}: {causes[0].text}" if len(causes) == 1 else ""
        parts.append(first or f"{counted(counts['wrong'] or every, 'thing')} not as planned")
    if counts["unknown"]:
        parts.append(f"{counts['unknown']} not looked at")
    return ", ".join(parts)


def _headline(status: Status) -> Text:
    sign, style = _BUSY if status.run else _OK if status.state == "ok" else _SIGNS[status.state]  # type: ignore[index]
    line = Text.assemble((status.instance, "bold"), "  ", (f"{sign} {summary(status)}", style))
    last = status.last_run
    if last is not None and status.run is None:
        when = last.ended.astimezone()
        line.append(f"   {last.command} {last.result} {when:%Y-%m-%d %H:%M} ({span(last.seconds)})", "dim")
    return line


def _run(run: RunStatus) -> Iterator[Text]:
    for phase in run.phases:
        yield Text.assemble("  ", _phase_sign(phase), f" {phase.name}", _phase_detail(phase))


def _phase_sign(phase: Phase) -> tuple[str, str]:
    return {"done": _OK, "going": _BUSY}.get(phase.state, ("·", "dim"))


def _phase_detail(phase: Phase) -> str:
    last = f" (last time at {span(phase.last_seconds)})" if phase.last_seconds is not None else ""
    if phase.state == "waiting":
        return last
    count = "" if phase.state == "done" else f", {phase.done} of {phase.total}"
    return f"{count}{f', at {span(phase.seconds)}' if phase.seconds is not None else ''}{last}"


def _reason(reason: Reason, depth: int) -> Iterator[Text]:
    sign, style = _SIGNS[reason.level]
    arrow, weight = (f"{sign} ", "bold") if depth == 1 else (f"→ {sign} ", "")
    yield Text.assemble("  " * depth, (arrow, style), (reason.subject, weight), f": {reason.text}")
    if reason.remedy and depth == 1:
        yield Text(f"      remedy: {reason.remedy}", "cyan")
    shown = reason.consequences[:_SHOWN]
    for consequence in shown:
        yield from _reason(consequence, depth + 1)
    left = len(reason.consequences) - len(shown)
    if left:
        yield Text(f"{'  ' * (depth + 1)}→ and {left} more: --format json has all", "dim")


def _hosts(hosts: Sequence[HostStatus]) -> Table:
    table = _table("HOST", "RUNS", "MACHINES", "MEMORY PLANNED", "FREE MEMORY", "FREE DISK", "STATE")
    for host in hosts:
        planned = f"{host.planned_memory_mib / 1024:.0f}"
        memory = f"{planned} of {host.memory_mib / 1024:.0f} GiB" if host.memory_mib else f"{planned} GiB"
        table.add_row(
            host.name,
            f"{host.machine_type}s" if host.machine_type else _NOTHING,
            str(host.machines),
            memory,
            _gib(host.available_memory_mib),
            _gib(host.available_disk_mib),
            _state({"ok": "answers", "wrong": "libvirt fails"}.get(host.state, host.state), host.state),
        )
    return table


def _machines(machines: Sequence[MachineStatus]) -> Table:
    table = _table("MACHINE", "ADDRESS", "HOST", "STATE", "NODE")
    words = {"notMade": "not made yet", "notPlanned": "planned no more"}
    for machine in machines:
        ready = {True: _state("Ready", "ok"), False: _state("not Ready", "wrong")}
        is_known = "ok" if machine.state == "running" else "unknown" if machine.state == "unknown" else "wrong"
        table.add_row(
            machine.name,
            machine.address or _NOTHING,
            machine.host,
            _state(words.get(machine.state, machine.state), is_known),
            ready[machine.ready] if machine.ready is not None else Text("?" if machine.version else _NOTHING),
        )
    return table


def _clusters(clusters: Sequence[ClusterStatus], now: datetime) -> Table:
    headings = ("KUBERNETES", "NODES", "PODS", "ETCD", "SERVICES", "SNAPSHOT", "API SERVER", "AZURE ARC")
    table = _table("CLUSTER", *headings)
    for cluster in clusters:
        etcd = f"{cluster.etcd.healthy}/{cluster.etcd.members}" if cluster.etcd else "?"
        taken = cluster.last_snapshot
        snapshot = f"{span((now - taken).total_seconds())} ago" if taken else _NOTHING
        table.add_row(
            Text.assemble(_state("", cluster.state), cluster.name),
            cluster.version or f"? ({cluster.planned_version} planned)",
            _share(cluster.nodes),
            _share(cluster.pods),
            etcd,
            f"{cluster.services.count} of {cluster.services.total} addresses" if cluster.services else "?",
            snapshot,
            cluster.endpoint,
            _arc(cluster),
        )
    return table


def _arc(cluster: ClusterStatus) -> str:
    arc = cluster.arc
    if arc is None:
        return _NOTHING
    where = " (emulator)" if arc.is_emulated else ""
    agents = f", agents {arc.agent_version}" if arc.agent_version else ""
    return f"{arc.connectivity_status or '?'}{where}{agents}"


def _networks(networks: Sequence[NetworkStatus]) -> Table:
    table = _table("NETWORK", "PREFIX", "VLAN", "POOL", "UP ON")
    for network in networks:
        table.add_row(
            network.name,
            network.address_prefix,
            str(network.vlan or _NOTHING),
            f"{network.pool_free} of {network.pool_size} free",
            f"{'?' if network.up is None else network.up} of {counted(network.hosts, 'host')}",
        )
    return table


def _certificates(certificates: Sequence[Certificate], now: datetime) -> Table:
    table = _table("CERTIFICATE", "ENDS", "IN")
    for certificate in certificates[:_ENDS_SOON]:
        left = (certificate.ends - now).total_seconds()
        ends = f"{certificate.ends.astimezone(UTC):%Y-%m-%d}"
        table.add_row(certificate.name, ends, span(left) if left > 0 else "ended")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    return table


def _state(word: str, state: str) -> Text:
    sign, style = {"ok": _OK, "lost": ("-", "dim")}.get(state) or _SIGNS[state]  # type: ignore[index]
    return Text(f"{sign} {word}", style)


def _share(share: Share | None) -> str:
    return f"{share.count}/{share.total}" if share else "?"


def _gib(mib: int | None) -> str:
    return f"{mib / 1024:.1f} GiB" if mib is not None else "?"


def span(seconds: float) -> str:
    """Return a time's length as people say it: 41 s, 12 min, 5 h, 90 d."""
    for unit, length, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
