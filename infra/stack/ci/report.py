"""What a run of a pipeline did: a summary for people, JUnit for CI, values for the steps that follow. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree
from lxml.builder import E

from infra.plan.addresses.numbers import address_text
from infra.plan.report.addresses.markdown import escape
from infra.resources.cluster import CLUSTER
from infra.resources.connected_cluster import CONNECTED_CLUSTER
from infra.resources.control_plane import CONTROL_PLANE
from infra.resources.host import HOST
from infra.resources.image import IMAGE
from infra.resources.machine import MACHINE
from infra.spec.types import parse_ranges

_MOMENTS: Final = {
    HOST.token: "hosts are prepared",
    IMAGE.token: "the image is on the hosts",
    MACHINE.token: "machines are up",
    CONTROL_PLANE.token: "API servers answer",
    "kubernetes:helm.sh/v3:Release": "add-ons are released",
    CLUSTER.token: "clusters are available",
    CONNECTED_CLUSTER.token: "Arc is Connected",
}
"""What has come true when the last resource of a kind is made."""
_COLOUR: Final = re.compile(r"<\{%.*?%\}>")
_UNPRINTABLE: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


@dataclass(frozen=True)
class Step:
    """A step of a command.

    Attributes:
        name: What was done.
        seconds: How long it took.
        error: Why it failed; empty where it didn't.
    """

    name: str
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class EngineLog:
    """What the engine said of its run.

    Attributes:
        moments: What had come true when, in seconds from the beginning.
        errors: Its errors, each once.
        warnings: Its warnings.
    """

    moments: tuple[tuple[str, float], ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a command did for a run.

    Attributes:
        command: `up`, `down` or `rebuild`.
        run: The run's name.
        instance: Its instance's.
        stack: The stack that it is of.
        hosts: Its hosts.
        steps: What was done; the last one may have failed.
        moments: What came true when while the engine ran.
        clusters: The stack's output of that name.
        kubeconfig: Where the clusters' kubeconfig is; empty where there is none.
        plan: The address plan, as Markdown.
        artefacts: Where there is more on a failure; empty without one.
    """

    command: str
    run: str
    instance: str
    stack: str
    hosts: tuple[str, ...]
    steps: tuple[Step, ...]
    moments: tuple[tuple[str, float], ...] = ()
    clusters: Mapping[str, Mapping[str, Any]] | None = None
    kubeconfig: str = ""
    plan: str = ""
    artefacts: str = ""

    @property
    def error(self) -> str:
        """Return why it failed; empty where it didn't."""
        return next((step.error for step in self.steps if step.error), "")

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return sum(step.seconds for step in self.steps)

    @property
    def load_balancers(self) -> dict[str, list[str]]:
        """Return the LoadBalancer addresses of each cluster."""
        return {
            name: [
                address_text(address)
                for text in cluster.get("loadBalancer") or ()
                for span in parse_ranges(text)
                for address in range(span.first, span.last + 1)
            ]
            for name, cluster in (self.clusters or {}).items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the command."""
        return {
            "command": self.command,
            "ok": not self.error,
            "run": self.run,
            "instance": self.instance,
            "stack": self.stack,
            "hosts": list(self.hosts),
            "seconds": round(self.seconds, 1),
            "steps": [
                {
                    "name": step.name,
                    "seconds": round(step.seconds, 1),
                    **({"error": step.error} if step.error else {}),
                }
                for step in self.steps
            ],
            "kubeconfig": self.kubeconfig or None,
            "clusters": {
                name: {
                    "context": cluster.get("context"),
                    "endpoint": cluster.get("endpoint"),
                    "kubernetesVersion": cluster.get("kubernetesVersion"),
                    "loadBalancer": self.load_balancers[name],
                }
                for name, cluster in (self.clusters or {}).items()
            },
            "artefacts": self.artefacts or None,
        }


def read_log(lines: Iterable[str], started: float) -> EngineLog:
    """Read the events that an engine wrote.

    Args:
        lines: One event each, as JSON; a line that was broken off is left out.
        started: When the engine was, in seconds since 1970.
    """
    last: dict[str, float] = {}
    messages: dict[str, dict[str, None]] = {"error": {}, "warning": {}}
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        made = event.get("resOutputsEvent", {}).get("metadata", {})
        if made.get("op") in ("create", "update") and made.get("type") in _MOMENTS:
            last[_MOMENTS[made["type"]]] = max(0.0, float(event.get("timestamp", started)) - started)
        diagnostic = event.get("diagnosticEvent", {})
        if diagnostic.get("severity") in messages:
            text = _COLOUR.sub("", str(diagnostic.get("message", ""))).strip()
            messages[diagnostic["severity"]].setdefault(text)
    moments = sorted(last.items(), key=lambda moment: moment[1])
    return EngineLog(
        tuple(moments), tuple(filter(None, messages["error"])), tuple(filter(None, messages["warning"]))
    )


def summary(report: Report) -> str:
    """Return a summary in Markdown, for a step's summary or a comment."""
    return "\n".join([*_summary(report), ""])


def junit(report: Report) -> str:
    """Return JUnit XML: a case for each step."""
    cases = []
    for step in report.steps:
        case = E.testcase(name=step.name, classname=f"azlocal.ci.{report.command}", time=f"{step.seconds:.1f}")
        if step.error:
            text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", step.error)
            first, _, _ = text.partition("\n")
            case.append(E.failure(text, message=first, type="failed"))
        cases.append(case)
    failures = str(sum(1 for step in report.steps if step.error))
    name = f"azlocal ci {report.command} {report.run}"
    suite = E.testsuite(*cases, name=name, time=f"{report.seconds:.1f}", tests=str(len(cases)), failures=failures)
    text_of: bytes = etree.tostring(E.testsuites(suite), encoding="utf-8", xml_declaration=True, pretty_print=True)
    return text_of.decode()


def step_outputs(report: Report, folder: str) -> str:
    """Return the lines of $GITHUB_OUTPUT: what later steps work with; none has a value of more than a line.

    Args:
        report: What was done.
        folder: Where summary, JUnit and artefacts are.
    """
    balancers = [address for addresses in report.load_balancers.values() for address in addresses]
    values = {
        "run": report.run,
        "instance": report.instance,
        "kubeconfig": report.kubeconfig,
        "load-balancer": ",".join(balancers),
        "report": folder,
        "artefacts": report.artefacts,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items() if "\n" not in value)


def _summary(report: Report) -> Iterator[str]:
    mark = "\N{CROSS MARK}" if report.error else "\N{WHITE HEAVY CHECK MARK}"
    end = "failed" if report.error else "done"
    run, stack = escape(report.run), escape(report.stack)
    yield f"### {mark} `azlocal ci {report.command}` {end}: run {run} of stack {stack}"
    yield ""
    yield f"Instance {report.instance} on {escape(', '.join(report.hosts)) or 'no host'}, {report.seconds:.0f} s."
    if report.error:
        yield ""
        yield from (f"    {line}" for line in report.error.splitlines())
        yield ""
        yield f"More is in `{report.artefacts}`." if report.artefacts else ""
    yield ""
    yield from _table(("step", "seconds"), [(escape(step.name), f"{step.seconds:.1f}") for step in report.steps])
    if report.moments:
        yield from _table(
            ("of the engine's run", "after seconds"), [(escape(name), f"{at:.1f}") for name, at in report.moments]
        )
    if report.clusters:
        rows = [
            (
                escape(name),
                escape(str(cluster.get("kubernetesVersion", ""))),
                escape(str(cluster.get("endpoint", ""))),
                escape(", ".join(report.load_balancers[name])) or "none",
            )
            for name, cluster in report.clusters.items()
        ]
        yield from _table(("cluster", "Kubernetes", "API server", "LoadBalancer addresses"), rows)
    if report.kubeconfig:
        yield f"`KUBECONFIG={report.kubeconfig}`"
        yield ""
    if report.plan:
        yield report.plan.rstrip()


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield f"|{' --- |' * len(heading)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
