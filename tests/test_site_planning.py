"""`azlocal plan --site`: all stacks of a site, against each other and recorded together."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.cli import app
from tests.instances import cluster, files, host, infrastructure, network, write_files

WIDE = infrastructure(pool={"start": "192.168.1.20", "end": "192.168.1.99"})
LOCAL = {"name": "node1", "connection": "qemu:///system"}


def azlocal(*arguments: object, **environment: str) -> Result:
    return CliRunner(env={"CI": "", **environment}).invoke(app, [str(argument) for argument in arguments])


def project(folder: Path, stacks: dict[str, list[dict[str, Any]]], **parts: Any) -> Path:
    for stack, clusters in stacks.items():
        write_files(folder, files(clusters, **{"infra": WIDE, "hosts": [host()], **parts}), stack)
    return folder


def planned(folder: Path, *options: object, **environment: str) -> tuple[int, dict[str, Any]]:
    result = azlocal("-C", folder, "plan", "--site", "s", "--format", "json", *options, **environment)
    return result.exit_code, json.loads(result.stdout)


def rules(plan: dict[str, Any], severity: str = "error") -> list[str]:
    return [one["rule"] for one in plan["findings"] if one["severity"] == severity]


def locks(folder: Path) -> list[str]:
    return [
        path.read_text(encoding="utf-8") if path.exists() else ""
        for path in (folder / "netplans/s.lock.yaml", folder / "hosts/s.lock.yaml")
    ]


def test_all_stacks_of_a_site_are_planned_and_recorded_as_one_by_one(tmp_path: Path) -> None:
    one_by_one = tmp_path / "one"
    one_by_one.mkdir()
    for folder in (tmp_path, one_by_one):
        project(folder, {"ci": [cluster()], "lab": [cluster()]})
    code, plan = planned(tmp_path)
    assert (code, plan["ok"], plan["site"]) == (0, True, "s")
    assert list(plan["stacks"]) == ["ci", "lab"]
    for stack in ("ci", "lab"):
        assert azlocal("-C", one_by_one, "plan", stack).exit_code == 0
    assert locks(tmp_path) == locks(one_by_one)
    assert planned(tmp_path, "--frozen")[0] == 0


def test_stacks_of_other_sites_are_left_alone(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster()]})
    (tmp_path / "Pulumi.other.yaml").write_text("config: {azlocal:site: t}\n", encoding="utf-8")
    (tmp_path / "Pulumi.broken.yaml").write_text("config: {azlocal:site: t\n", encoding="utf-8")
    code, plan = planned(tmp_path)
    assert (code, list(plan["stacks"])) == (0, ["lab"])


def test_two_stacks_that_make_the_same_machine(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster("a-b")], "lab-a": [cluster("b")]})
    code, plan = planned(tmp_path)
    assert code == 2
    assert not plan["ok"]
    assert set(rules(plan)) == {"machine-of-another-stack"}
    assert (
        "lab-a-b-cp-0 would be a machine of stack lab-a, and is one of stack lab" in plan["findings"][0]["message"]
    )
    assert locks(tmp_path) == ["", ""], "nothing is recorded unless all are sound"
    assert set(rules(planned(tmp_path, "--no-lock")[1])) == {"machine-of-another-stack"}


def test_one_after_the_other_the_lock_knows_them(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster("a-b")], "lab-a": [cluster("b")]})
    assert azlocal("-C", tmp_path, "plan", "lab").exit_code == 0
    refused = azlocal("-C", tmp_path, "plan", "lab-a")
    assert refused.exit_code == 2
    assert "machine-of-another-stack" in refused.stderr
    (tmp_path / "Pulumi.lab.yaml").unlink()
    assert azlocal("-C", tmp_path, "release", "lab", "--yes").exit_code == 0
    assert azlocal("-C", tmp_path, "plan", "lab-a").exit_code == 0, "the remedy helps"


def test_two_stacks_on_one_nat_site(tmp_path: Path) -> None:
    project(tmp_path, {"dev": [cluster("d")], "local": [cluster("a")]}, hosts=[LOCAL])
    code, plan = planned(tmp_path)
    assert (code, rules(plan)) == (2, ["gateway-of-another-stack"])
    assert azlocal("-C", tmp_path, "plan", "dev").exit_code == 0
    refused = azlocal("-C", tmp_path, "plan", "local")
    assert refused.exit_code == 2
    assert "for stack dev already" in refused.stderr


def test_libvirt_networks_of_one_name(tmp_path: Path) -> None:
    other = {"addressPrefix": "10.9.0.0/24", "gateway": "10.9.0.1", "vlan": 9}
    networks = [network(name="a-bb"), network("10.9.0.9", "10.9.0.20", name="bb", **other)]
    project(
        tmp_path,
        {"lab": [cluster("x", logicalNetwork="bb")], "lab-a": [cluster("y", logicalNetwork="bb")]},
        networks=networks,
    )
    code, plan = planned(tmp_path)
    assert (code, set(rules(plan))) == (2, {"network-name-of-another-stack"})


def test_a_stack_that_cannot_be_read_is_told_beside_the_others(tmp_path: Path) -> None:
    project(tmp_path, {"ci": [cluster("b")], "lab": [cluster()]})
    (tmp_path / "Pulumi.ci.yaml").write_text("config:\n  azlocal:site: s\n  azlocal:x: [\n", encoding="utf-8")
    code, plan = planned(tmp_path)
    assert code == 1
    assert plan["stacks"]["ci"]["findings"][0]["rule"] == "yaml-syntax"
    assert plan["stacks"]["lab"]["ok"]
    assert locks(tmp_path) == ["", ""]


def test_frozen_locks_are_not_changed(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster()]})
    assert planned(tmp_path)[0] == 0
    before = locks(tmp_path)
    project(tmp_path, {"ci": [cluster("b")]})
    code, plan = planned(tmp_path, CI="true")
    assert (code, rules(plan)) == (2, ["lock-frozen", "lock-frozen"])
    assert locks(tmp_path) == before
    assert planned(tmp_path, "--no-frozen", CI="true")[0] == 0


def test_what_is_wrong_with_the_sites_files_is_said_once(tmp_path: Path) -> None:
    project(tmp_path, {"ci": [], "lab": []}, infra={**WIDE, "dnsServers": ["127.0.0.53"]})
    code, plan = planned(tmp_path)
    assert (code, rules(plan)) == (2, ["address-of-nobody"])
    assert all(one["findings"] for one in plan["stacks"].values())


def test_a_site_that_is_not_there(tmp_path: Path) -> None:
    project(tmp_path, {"lab": [cluster()]})
    result = azlocal("-C", tmp_path, "plan", "--site", "x", "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"][0]["rule"] == "unknown-site"
    assert "sites of this project: s" in result.stderr


@pytest.mark.parametrize(("name", "start"), [("table", "stack ci:"), ("markdown", "## Stack ci")])
def test_other_formats_have_one_stack_after_the_other(tmp_path: Path, name: str, start: str) -> None:
    project(tmp_path, {"ci": [cluster("b")], "lab": [cluster()]})
    result = azlocal("-C", tmp_path, "plan", "--site", "s", "--format", name)
    assert result.exit_code == 0
    assert result.stdout.startswith(start)
    assert start.replace("ci", "lab") in result.stdout
    assert azlocal("-C", tmp_path, "plan", "--site", "s", "-o", tmp_path / f"plan.{name}").stdout == ""


@pytest.mark.parametrize(
    "options",
    [
        ["lab", "--site", "s"],
        ["--site", "s", "--size"],
        ["--site", "s", "--placement"],
        ["--site", "s", "--explain", "a-cp-0"],
        ["--site", "s", "--against", "HEAD"],
        ["--site", "s", "--without", "node1"],
        ["--site", "s", "--format", "svg"],
        [],
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, options: list[str]) -> None:
    project(tmp_path, {"lab": [cluster()]})
    result = azlocal("-C", tmp_path, "plan", *options)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
