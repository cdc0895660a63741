"""What a change does to machines is in every report of `azlocal plan --against`."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import html as parser
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from infra.cli import app
from infra.plan.effects import Effect, Effects, Setting
from infra.plan.report.addresses.changes import changes_line, effect_rows
from infra.plan.report.addresses.markdown import render_markdown
from infra.plan.report.addresses.output import render
from tests.effects.test_compare import Content, instance
from tests.instances import write_files
from tests.plan.report.addresses.plans import HOSTILE, grown

WORDS = Setting("dnsServers", "10.0.0.5", None)


def effect(name: str, **more: Any) -> Effect:
    found = Effect("replaced", name, "a", (WORDS,), str(WORDS), f"{name} is replaced")
    return replace(found, **more)


def test_machines_that_share_kind_and_reason_are_one_row() -> None:
    machines = tuple(effect(f"a-p-{number}") for number in range(4))
    rows = effect_rows(Effects((*machines, effect("a-q-9"), effect("rb-0", cluster=None))))
    assert [row.names for row in rows] == ["a-p-0, a-p-1, a-p-2, a-p-3, a-q-9", "rb-0"]
    assert [row.names for row in effect_rows(Effects(machines))] == ["a-p-0 to 3"]
    assert rows[0].why == "dnsServers 10.0.0.5 → none"


@pytest.mark.parametrize("name", ["markdown", "html", "table", "json"])
def test_no_report_lets_a_text_break_out(name: Any) -> None:
    plan, changes = grown()
    hostile = Effect("refused", HOSTILE, HOSTILE, (Setting(HOSTILE, HOSTILE, None),), HOSTILE, HOSTILE)
    found = replace(changes, effects=Effects((hostile,), (hostile,)))
    text = render(plan, name, found)
    if name == "json":
        assert json.loads(text)["changes"]["machines"][0]["name"] == HOSTILE
        return
    shown = text if name == "html" else str(MarkdownIt("commonmark").enable("table").render(text))
    if name != "table":
        document = parser.document_fromstring(shown)
        assert not document.xpath("//script[contains(., 'alert(1)')]")
        assert not document.xpath("//a[starts-with(@href, 'javascript:')]")
    assert "refused" in text


def test_what_cannot_be_told_is_said() -> None:
    plan, changes = grown()
    untold = replace(changes, effects=Effects(untold="the plan isn't sound"), changes=(), networks=())
    assert changes_line(untold) == (
        "against main: no difference of addresses; what becomes of machines isn't told: the plan isn't sound"
    )
    assert "what becomes of machines isn't told" in render_markdown(plan, untold)
    assert json.loads(render(plan, "json", untold))["changes"]["machines"] is None


def azlocal(*arguments: object) -> Result:
    return CliRunner(env={"CI": "true"}).invoke(app, [str(argument) for argument in arguments])


def changed(content: Content) -> Content:
    content["netplan"]["logicalNetworks"][0]["dnsServers"] = ["10.220.32.9"]
    content["stack"]["clusters"][0]["agentPools"][0]["vmSize"] = "Standard_D4s_v3"
    return content


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project in git, as it was committed."""
    write_files(tmp_path, instance())
    git = ["git", "-C", str(tmp_path), "-c", "user.name=me", "-c", "user.email=me@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


@pytest.mark.parametrize("against", ["HEAD", "old.json"])
def test_the_command_says_what_a_change_does_to_machines(project: Path, against: str) -> None:
    if against.endswith(".json"):
        target = project / against
        assert azlocal("-C", project, "plan", "lab", "--no-lock", "-o", target).exit_code == 0
        against = str(target)
    write_files(project, changed(instance()))
    done = azlocal("-C", project, "plan", "lab", "--no-lock", "--against", against, "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["changes"]
    kinds = {one["name"]: one["kind"] for one in found["machines"]}
    assert kinds["a-cp-0"] == kinds["a-nodepool1-0"] == kinds["b-cp-0"] == "replaced"
    assert "rb-0" not in kinds
    (worker,) = (one for one in found["machines"] if one["name"] == "a-nodepool1-0")
    assert {"name": "dnsServers", "before": "10.220.32.5", "after": "10.220.32.9"} in worker["settings"]
    table = azlocal("-C", project, "plan", "lab", "--no-lock", "--against", against)
    assert "5 machines" in table.stdout or "machines replaced" in table.stdout.replace("\n", " ")
    assert "dnsServers 10.220.32.5 → 10.220.32.9" in table.stdout.replace("\n", " ")


def test_a_plan_of_an_older_version_has_only_addresses(project: Path) -> None:
    target = project / "old.json"
    assert azlocal("-C", project, "plan", "lab", "--no-lock", "-o", target).exit_code == 0
    content = json.loads(target.read_text())
    del content["resources"]
    target.write_text(json.dumps(content))
    done = azlocal("-C", project, "plan", "lab", "--no-lock", "--against", target)
    assert done.exit_code == 0
    assert "isn't told" in done.stdout.replace("\n", " ")
    target.write_text(json.dumps(content | {"resources": [{"type": 1}]}))
    assert azlocal("-C", project, "plan", "lab", "--no-lock", "--against", target).exit_code == 1


def test_a_plan_says_nothing_secret_of_resources(project: Path) -> None:
    content = instance()
    content["netplan"]["proxy"] = {"httpProxy": "http://me:geheim@proxy.example:3128", "noProxy": ["10.0.0.0/8"]}
    content["netplan"]["proxy"]["noProxy"] += ["192.168.0.0/16"]
    content["stack"]["arc"] = {"cloud": "emulator", "emulatorAddress": "192.0.2.200"}
    write_files(project, content)
    done = azlocal("-C", project, "plan", "lab", "--no-lock", "--format", "json")
    assert done.exit_code == 0, done.output
    assert "proxy.example" in done.stdout
    assert "geheim" not in done.stdout
