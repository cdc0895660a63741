"""What people and scripts read: the cause first, nothing folded in a file, JSON as its schema says."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from infra.cli.output import console
from infra.status.model import SCHEMA, Status
from infra.status.report import rendered, span, summary
from infra.status.schema import status_schema
from infra.status.seen import Lock, PastRun, PhaseRecord, StackState, Unseen
from tests.project import ROOT
from tests.status.samples import HOST_OF, NOW, PLANES, RB, WORKERS, node, objects, off, seen_cluster, state, status

WORKER = WORKERS[0]


def text(seen: Status) -> list[str]:
    buffer = io.StringIO()
    Console(file=buffer, width=10_000).print(rendered(seen))
    return [line.rstrip() for line in buffer.getvalue().splitlines()]


def samples() -> dict[str, Status]:
    lock = Lock("ann on desk", NOW.timestamp() - 41, "azlocal up")
    return {
        "healthy": status(),
        "off": status(hosts={HOST_OF[WORKER]: off(WORKER)}),
        "unreachable": status(hosts={"node1": Unseen("no route to host")}, clusters={}, connections={}),
        "nothing": status(state=StackState()),
        "busy": status(
            state=replace(
                state(),
                lock=lock,
                last_alike=PastRun("azlocal up", "succeeded", 0, 99),
                phases={"machines": PhaseRecord((10.0,), 1, 2)},
                last_phases={"machines": PhaseRecord((18.0, 21.0), 0, 2)},
            )
        ),
    }


@pytest.mark.parametrize("name", samples())
def test_json_is_as_its_schema_says(name: str) -> None:
    seen = samples()[name].to_wire()
    Draft202012Validator(status_schema()).validate(json.loads(json.dumps(seen)))
    assert seen["schema"] == SCHEMA
    assert seen["exitCode"] == {"healthy": 0, "unreachable": 1, "busy": 3}.get(name, 2)


def test_the_schema_is_one_and_is_written_down() -> None:
    schema = status_schema()
    Draft202012Validator.check_schema(schema)
    assert json.loads((ROOT / "schemas/status.schema.json").read_text()) == schema, "`azlocal schema` writes it"
    wrong = {**status().to_wire(), "state": "fine"}
    assert [error.json_path for error in Draft202012Validator(schema).iter_errors(wrong)] == ["$.state"]


def test_a_healthy_instance_is_told_in_a_line_and_tables() -> None:
    lines = text(status())
    assert lines[0] == "lab  ✓ everything planned is running"
    (machine,) = [line for line in lines if line.startswith(WORKER)]
    assert machine.split()[2:] == [HOST_OF[WORKER], "✓", "running", "✓", "Ready"]
    (cluster,) = [line for line in lines if line.startswith("✓ a ")]
    for words in ("1.33.5", "5/5", "3/3", "0 of 2 addresses", "3 h ago", "Connected, agents 1.36.1"):
        assert words in cluster
    (bridge,) = [line for line in lines if line.startswith(RB)]
    assert bridge.endswith(" -"), "no node of a cluster"


def test_what_is_wrong_is_told_before_all_else_with_its_remedy() -> None:
    nodes = [node(each, "Unknown" if each == WORKER else "True") for each in (*PLANES, *WORKERS)]
    lines = text(
        status(hosts={HOST_OF[WORKER]: off(WORKER)}, clusters={"a": seen_cluster(objects=objects(nodes=nodes))})
    )
    assert lines[:4] == [
        f"lab  ✗ machine {WORKER}: is shut off on {HOST_OF[WORKER]}",
        f"  ✗ machine {WORKER}: is shut off on {HOST_OF[WORKER]}",
        "      remedy: azlocal up lab starts it",
        f"    → ✗ node {WORKER}: is not Ready: NodeStatusUnknown: Kubelet stopped posting node status.",
    ]


def test_of_many_consequences_the_first_are_shown() -> None:
    nodes = [node(f"lab-{number}") for number in range(3)]
    seen = status(clusters={"a": seen_cluster(objects=objects(nodes=nodes))}, state=state())
    assert len(seen.reasons) == 5
    deep = seen.model_copy(
        update={"reasons": (seen.reasons[0].model_copy(update={"consequences": seen.reasons * 2}),)}
    )
    assert "    → and 2 more: --format json has all" in text(deep)
    assert summary(seen) == "5 things not as planned"


def test_a_run_is_told_with_its_phases_and_the_times_of_the_last_one() -> None:
    lines = text(samples()["busy"])
    assert lines[:2] == [
        "lab  … azlocal up of ann on desk goes on, 41 s (last time 99 s)",
        "  … machines, 1 of 2, at 10 s (last time at 21 s)",
    ]


def test_the_last_run_is_told() -> None:
    last = PastRun("azlocal up", "succeeded", NOW.timestamp(), 99)
    assert "azlocal up succeeded 2026-11-30" in text(status(state=replace(state(), last_run=last)))[0]


def test_what_was_not_looked_at_is_said_in_the_headline() -> None:
    assert text(status(hosts={"node1": Unseen("no route to host")}))[0] == "lab  ? 1 not looked at"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(41, "41 s"), (130, "2 min"), (3 * 3600, "3 h"), (90 * 86400, "90 d")]
)
def test_times_are_as_people_say_them(seconds: float, expected: str) -> None:
    assert span(seconds) == expected


def test_a_file_gets_whole_lines_and_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(rendered(samples()["off"]))
    lines = capsys.readouterr().out.splitlines()
    assert any(len(line) > 80 for line in lines)
    assert "\x1b" not in "".join(lines)


def test_a_terminal_has_no_colours_where_nobody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console().color_system is not None
    monkeypatch.setenv("NO_COLOR", "1")
    with (plain := console()).capture() as capture:
        plain.print(rendered(samples()["off"]))
    assert "\x1b" not in capture.get()
