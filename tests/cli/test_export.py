"""`azlocal export`: its formats, its exit codes, what it writes and what it never does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from infra.cli import app
from infra.cli.export import To
from infra.export.facts import Format
from tests.export.exporting import KEY, TARGET
from tests.instances import cluster, files, write_files


def azlocal(*arguments: object) -> Result:
    return CliRunner(env={"CI": ""}).invoke(app, [str(argument) for argument in arguments])


def write_target(folder: Path, **more: Any) -> None:
    (folder / "targets").mkdir(exist_ok=True)
    content = {key: value for key, value in {**TARGET, **more}.items() if value is not None}
    (folder / "targets/s.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_files(tmp_path, files([cluster()]))
    write_target(tmp_path)
    return tmp_path


def test_the_command_has_the_formats_that_there_are() -> None:
    assert [one.value for one in To] == [one.value for one in Format]


@pytest.mark.parametrize("to", To)
def test_files_are_written_and_nothing_else_is(project: Path, to: To) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    result = azlocal("-C", project, "export", "lab", "--to", to, "-o", project / "out" / "deep")
    assert result.exit_code == 0, result.stderr
    written = sorted(str(path) for path in (project / "out/deep").iterdir())
    assert sorted(result.stdout.splitlines()) == written
    assert {path: path.read_bytes() for path in before} == before
    assert not (project / "netplans/s.lock.yaml").exists()


def test_one_file_goes_to_standard_output_as_it_is(project: Path) -> None:
    result = azlocal("-C", project, "export", "lab", "--to", "odin")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["state"]["nodes"] == "1"
    assert "warning: Pulumi.lab.yaml" in result.stderr


def test_several_files_have_their_names_before_them(project: Path) -> None:
    text = azlocal("-C", project, "export", "lab", "--to", "bicep").stdout
    assert text.startswith("==> network-aks.bicepparam <==\n")
    assert "\n==> cluster-a.bicepparam <==\n" in text


def test_json_has_files_steps_and_findings(project: Path) -> None:
    content = json.loads(azlocal("-C", project, "export", "lab", "--to", "az", "--format", "json").stdout)
    assert (content["stack"], content["to"], content["ok"]) == ("lab", "az", True)
    assert set(content["files"]) == {"azlocal.sh", "cluster-a.pub"}
    assert content["steps"][1] == "bash azlocal.sh validate"
    assert {finding["severity"] for finding in content["findings"]} <= {"warning", "info"}


def test_a_broken_rule_is_exit_code_2_and_nothing_is_written(project: Path) -> None:
    write_target(project, vmSwitchName=None)
    out = project / "out"
    result = azlocal("-C", project, "export", "lab", "--to", "bicep", "-o", out, "--format", "json")
    assert result.exit_code == 2
    assert not out.exists()
    content = json.loads(result.stdout)
    assert (content["ok"], content["files"]) == (False, {})
    assert content["findings"][0]["rule"] == "export-switch-unknown"
    assert "error: netplans/s.yaml:" in result.stderr


@pytest.mark.parametrize("broken", ["targets/s.yaml", "hosts/s.yaml"])
def test_unreadable_input_is_exit_code_1_with_findings(project: Path, broken: str) -> None:
    (project / broken).write_text("a: [\n", encoding="utf-8")
    result = azlocal("-C", project, "export", "lab", "--to", "arm", "--format", "json")
    assert result.exit_code == 1
    assert [finding["rule"] for finding in json.loads(result.stdout)["findings"]] == ["yaml-syntax"]
    assert f"{broken}:2" in result.stderr


def test_the_key_may_be_a_file(project: Path) -> None:
    (project / "key.pub").write_text(f"{KEY}\n", encoding="utf-8")
    write_target(project, sshPublicKey="key.pub")
    files_of = json.loads(azlocal("-C", project, "export", "lab", "--to", "az", "--format", "json").stdout)[
        "files"
    ]
    assert files_of["cluster-a.pub"] == f"{KEY}\n"


def test_the_stacks_only_key_counts_where_the_target_has_none(project: Path) -> None:
    write_target(project, sshPublicKey=None)
    assert "export-one-ssh-key" in azlocal("-C", project, "export", "lab", "--to", "az").stderr
    write_files(project, files([cluster()], stack={"sshPublicKeys": [KEY]}))
    assert azlocal("-C", project, "export", "lab", "--to", "az").exit_code == 0
    absent = azlocal("-C", project, "export", "lab", "--to", "odin")
    assert absent.exit_code == 0  # which has no key, and reads none


def test_what_azlocal_chose_has_to_be_in_the_lock(project: Path) -> None:
    write_files(project, files([cluster(loadBalancer={"count": 2})]))
    assert "export-not-locked" in azlocal("-C", project, "export", "lab", "--to", "bicep").stderr
    assert azlocal("-C", project, "plan", "lab").exit_code == 0
    assert azlocal("-C", project, "export", "lab", "--to", "bicep").exit_code == 0


def test_a_folder_that_cant_be_made_is_told(project: Path) -> None:
    (project / "file").touch()
    result = azlocal("-C", project, "export", "lab", "--to", "odin", "-o", project / "file")
    assert result.exit_code == 1
    assert "name another folder with -o" in result.stderr


def test_rules_of_exports_are_listed() -> None:
    result = azlocal("rules", "export-own-vm-size")
    assert result.exit_code == 0
    assert "Azure's" in result.stdout


def test_files_of_an_earlier_export_are_named(project: Path) -> None:
    write_files(project, files([cluster(), cluster("b")]))
    out = project / "out"
    assert "note:" not in azlocal("-C", project, "export", "lab", "--to", "bicep", "-o", out).stderr
    write_files(project, files([cluster()]))
    stderr = azlocal("-C", project, "export", "lab", "--to", "bicep", "-o", out).stderr
    assert "note: cluster-b.bicepparam in" in stderr
