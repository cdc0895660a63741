import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from infra.cli import app
from tests.instances import cluster, files, host, write_files

ROOT = Path(__file__).parents[2]


def azlocal(*arguments: object, **environment: str) -> Result:
    return CliRunner(env={"CI": "", **environment}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_files(tmp_path, files([cluster()]))
    return tmp_path


def test_a_sound_plan_is_exit_code_0_and_records(project: Path) -> None:
    result = azlocal("-C", project, "plan", "lab", "--format", "json")
    assert result.exit_code == 0
    plan = json.loads(result.stdout)
    assert (plan["instance"], plan["ok"]) == ("lab", True)
    assert "lab/a-cp-0" in (project / "netplans/s.lock.yaml").read_text(encoding="utf-8")


def test_a_broken_rule_is_exit_code_2_with_the_plan_still_there(project: Path) -> None:
    write_files(project, files([cluster(planes=2)]))
    result = azlocal("-C", project, "plan", "lab", "--format", "json")
    assert result.exit_code == 2
    plan = json.loads(result.stdout)
    assert not plan["ok"]
    assert plan["findings"][0]["path"] == "Pulumi.lab.yaml:7: config.azlocal:clusters[0].controlPlane.count"
    assert plan["networks"][1]["allocations"]
    assert "error: Pulumi.lab.yaml:7" in result.stderr


def test_unreadable_input_is_exit_code_1_with_findings(project: Path) -> None:
    (project / "hosts/s.yaml").write_text("hosts: [\n", encoding="utf-8")
    result = azlocal("-C", project, "plan", "lab", "--format", "json")
    assert result.exit_code == 1
    assert [finding["rule"] for finding in json.loads(result.stdout)["findings"]] == ["yaml-syntax"]
    assert "hosts/s.yaml:2" in result.stderr


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("markdown", "\\[yaml-syntax\\]"),
        ("html", "yaml-syntax"),
        ("svg", "0 networks"),
    ],  # a picture has no findings
)
def test_unreadable_input_is_told_in_every_format(project: Path, name: str, shown: str) -> None:
    (project / "hosts/s.yaml").write_text("hosts: [\n", encoding="utf-8")
    result = azlocal("-C", project, "plan", "lab", "--format", name)
    assert result.exit_code == 1
    assert "not sound (1 error)" in result.stdout
    assert shown in result.stdout


def test_an_empty_question_is_no_question_left_out(project: Path) -> None:
    assert azlocal("-C", project, "plan", "lab", "--against", "").exit_code == 1
    assert azlocal("-C", project, "plan", "lab", "--explain", "").exit_code == 1


def test_no_lock_neither_reads_nor_writes(project: Path) -> None:
    lock = project / "netplans/s.lock.yaml"
    assert azlocal("-C", project, "plan", "lab", "--no-lock").exit_code == 0
    assert not lock.exists()
    lock.write_text("damaged", encoding="utf-8")
    assert azlocal("-C", project, "plan", "lab", "--no-lock").exit_code == 0
    assert azlocal("-C", project, "plan", "lab").exit_code == 1


def test_ci_freezes_the_lock(project: Path) -> None:
    assert azlocal("-C", project, "plan", "lab").exit_code == 0
    write_files(project, files([cluster(), cluster("b")]))
    frozen = azlocal("-C", project, "plan", "lab", CI="true")
    assert frozen.exit_code == 2
    assert "lock-frozen" in frozen.stderr
    assert azlocal("-C", project, "plan", "lab", "--frozen").exit_code == 2
    assert azlocal("-C", project, "plan", "lab", "--no-frozen", CI="true").exit_code == 0


def test_the_table_shows_the_plan(project: Path) -> None:
    result = azlocal("-C", project, "plan", "lab", COLUMNS="160")
    assert "a-nodepool1-0" in result.stdout
    assert "4 required" in result.stdout


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("json", "{"),
        ("markdown", "### "),
        ("svg", "<svg "),
        ("html", "<!DOCTYPE html>"),
        ("table", "infrastructure "),
    ],
)
def test_every_format_to_a_pipe_and_to_a_file(project: Path, name: str, start: str) -> None:
    piped = azlocal("-C", project, "plan", "lab", "--format", name, COLUMNS="100")
    assert piped.stdout.startswith(start)
    target = project / {"markdown": "plan.md", "table": "plan.txt"}.get(name, f"plan.{name}")
    written = azlocal("-C", project, "plan", "lab", "-o", target)
    assert (written.exit_code, written.stdout) == (0, "")
    assert target.read_text(encoding="utf-8") == piped.stdout, "the ending says the format"


@pytest.mark.parametrize("name", ["table", "json", "markdown", "html"])
def test_against_says_what_differs_and_why(project: Path, tmp_path: Path, name: str) -> None:
    old = tmp_path / "old.json"
    assert azlocal("-C", project, "plan", "lab", "-o", old).exit_code == 0
    write_files(project, files([cluster(workers=2)]))
    result = azlocal("-C", project, "plan", "lab", "--against", old, "--format", name, COLUMNS="200")
    assert result.exit_code == 0
    assert "pool nodepool1 of cluster a grew from 1 to 2" in result.stdout
    if name == "json":
        changes = json.loads(result.stdout)["changes"]
        assert [one["owner"] for one in changes["added"]] == ["a-nodepool1-1"]
        assert (changes["removed"], changes["moved"], changes["against"]) == ([], [], str(old))


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("json", "{"),
        ("markdown", "### "),
        ("svg", "<svg "),
        ("html", "<!DOCTYPE html>"),
        ("table", "placement "),
    ],
)
def test_the_placement_in_every_format_to_a_pipe_and_to_a_file(project: Path, name: str, start: str) -> None:
    piped = azlocal("-C", project, "plan", "lab", "--placement", "--format", name, COLUMNS="100")
    assert piped.exit_code == 0
    assert piped.stdout.startswith(start)
    assert "a-nodepool1-0" in piped.stdout
    target = project / {"markdown": "plan.md", "table": "plan.txt"}.get(name, f"plan.{name}")
    again = azlocal("-C", project, "plan", "lab", "--placement", "-o", target)
    assert (again.exit_code, again.stdout) == (0, "")
    assert "a-nodepool1-0" in target.read_text(encoding="utf-8")
    assert "lab/a-cp-0: {host: node1" in (project / "hosts/s.lock.yaml").read_text(encoding="utf-8")


def test_without_a_host_says_what_is_left_of_the_instance(project: Path) -> None:
    write_files(project, files([cluster(planes=3)], hosts=[host(n, memoryGiB=64) for n in (1, 2, 3)]))
    result = azlocal("-C", project, "plan", "lab", "--without", "node1", COLUMNS="160")
    assert result.exit_code == 0
    assert "without node1: " in result.stdout
    assert "set a-cp: 2 of 3 left, keeps its majority" in result.stdout
    assert "a-vip (10.220.32.23) stays up" in result.stdout
    every = azlocal("-C", project, "plan", "lab", "--without", "all", "--format", "json")
    losses = json.loads(every.stdout)["losses"]
    assert [one["host"] for one in losses] == ["node1", "node2", "node3"]
    assert not any(one["noRoomElsewhere"] for one in losses)


def test_without_a_host_that_is_not_there_changes_nothing(project: Path) -> None:
    result = azlocal("-C", project, "plan", "lab", "--without", "node9")
    assert result.exit_code == 1
    assert "error: --without: 'node9' isn't in hosts/s.yaml" in result.stderr
    assert not list(project.glob("*/*.lock.yaml"))
    assert azlocal("-C", project, "plan", "lab", "--placement", "--size").exit_code == 2


def test_a_drained_host_is_left_and_the_plan_says_so_until_it_is_carried_out(project: Path) -> None:
    write_files(project, files([cluster()], hosts=[host(1), host(2)]))
    assert azlocal("-C", project, "plan", "lab").exit_code == 0
    write_files(project, files([cluster()], hosts=[host(1, drain=True), host(2)]))
    for _ in range(2):
        result = azlocal("-C", project, "plan", "lab")
        assert result.exit_code == 0
        assert " moves from node1 to node2, because node1 drains; it is re-created there" in result.stderr
    write_files(project, files([cluster()], hosts=[host(1, drain=True), host(2, drain=True)]))
    refused = azlocal("-C", project, "plan", "lab")
    assert refused.exit_code == 2
    assert "every host drains: nothing is left to run 3 machines [every-host-drains]" in refused.stderr


def test_what_does_not_fit_is_refused_with_what_would(project: Path) -> None:
    write_files(project, files([cluster(workers=3)], hosts=[host(memoryGiB=32)]))
    result = azlocal("-C", project, "plan", "lab", "--format", "json")
    assert result.exit_code == 2
    (finding,) = [one for one in json.loads(result.stdout)["findings"] if one["rule"] == "no-room"]
    assert finding["path"].startswith("Pulumi.lab.yaml:9: config.azlocal:clusters[0].agentPools[0].vmSize")
    assert "add a host with memoryGiB 8 or more" in finding["remedy"]
    assert not list(project.glob("*/*.lock.yaml"))


def test_against_nothing_that_there_is_changes_nothing(project: Path) -> None:
    result = azlocal("-C", project, "plan", "lab", "--against", "missing.json")
    assert result.exit_code == 1
    assert "error: --against 'missing.json': there is no such file" in result.stderr
    assert not (project / "netplans/s.lock.yaml").exists()


def test_explain_answers_and_records_nothing(project: Path) -> None:
    result = azlocal("-C", project, "plan", "lab", "--explain", "a-cp-0", COLUMNS="120")
    assert result.exit_code == 0
    assert result.stdout.startswith("10.220.32.18\n  owner         a-cp-0")
    assert not (project / "netplans/s.lock.yaml").exists()
    as_json = azlocal("-C", project, "plan", "lab", "--explain", "10.220.32.18", "--format", "json")
    (found,) = json.loads(as_json.stdout)["explanations"]
    assert found["facts"][-1]["text"].startswith("node1: ")
    assert found["facts"][0] == {"about": "owner", "text": "a-cp-0"}
    unknown = azlocal("-C", project, "plan", "lab", "--explain", "a-cp-O")
    assert unknown.exit_code == 1
    assert "did you mean a-cp-0" in unknown.stderr


def test_a_file_that_can_not_be_written_is_named(project: Path) -> None:
    result = azlocal("-C", project, "plan", "lab", "-o", project / "missing/plan.html")
    assert result.exit_code == 1
    assert "missing/plan.html can't be written: No such file" in result.stderr


def test_help_teaches_with_examples() -> None:
    for arguments in (["--help"], ["plan", "--help"], ["schema", "--help"]):
        assert "Examples:\n" in azlocal(*arguments).stdout
    listed = azlocal("--help").stdout
    assert all(name in listed for name in ("image", "hypervisor", "plan", "schema"))


def commands(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of a command and of all below it."""
    yield path
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.resolve_command(context, [name])[1], *path, name)


def test_help_looks_alike_everywhere() -> None:
    listed = list(commands(typer.main.get_command(app)))
    assert ("image", "build") in listed
    assert len(listed) > 40
    for path in listed:
        said = azlocal(*path, "--help").stdout
        assert said.startswith("Usage: "), (path, said[:200])
        assert "─" not in said, path


def test_every_rule_can_be_looked_up_with_its_source() -> None:
    listed = azlocal("rules").stdout
    assert "aks-pool-too-small  (error; IP, NET)\n    A network's pools hold every node" in listed
    assert len(azlocal("rules", "vip-in-pool").stdout.splitlines()) == 2
    assert azlocal("rules", "nosuch").exit_code == 1


def test_the_schemas_are_current() -> None:
    assert azlocal("-C", ROOT, "schema", "--check").exit_code == 0


def test_a_stale_schema_is_named(tmp_path: Path) -> None:
    stale = azlocal("-C", tmp_path, "schema", "--check")
    assert stale.exit_code == 1
    assert "hosts.schema.json" in stale.stderr
    assert azlocal("-C", tmp_path, "schema").exit_code == 0
    assert azlocal("-C", tmp_path, "schema", "--check").exit_code == 0


def test_planning_imports_neither_engine_nor_hypervisor() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from infra.cli import app;"
        f"result = CliRunner().invoke(app, ['-C', {str(ROOT)!r}, 'plan', 'lab', '--no-lock', '--format', 'json']);"
        "heavy = {'pulumi', 'grpc', 'libvirt', 'paramiko', 'netaddr', 'cryptography', 'rich', 'lxml'};"
        "print(result.exit_code, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"
