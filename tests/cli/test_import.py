"""`azlocal import`: what it writes and never overwrites, what it reads, its report and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.cli import app
from tests.azure_import.importing import DATA, sample

SAMPLES = ("networks.json", "cluster.json", "pools.json", "deployment.json")
FILES = ["Pulumi.lab.yaml", "hosts/lab.yaml", "netplans/lab.yaml"]


def azlocal(*arguments: object) -> Result:
    return CliRunner(env={"CI": ""}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def azure(tmp_path: Path) -> Path:
    folder = tmp_path / "azure"
    folder.mkdir()
    for name in SAMPLES:
        (folder / name).write_bytes((DATA / name).read_bytes())
    return folder


def test_three_files_are_written_and_can_be_planned(azure: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    result = azlocal("-C", project, "import", azure, "--stack", "lab")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [str(project / name) for name in FILES]
    assert sorted(str(path.relative_to(project)) for path in project.rglob("*.yaml")) == sorted(FILES)
    assert "warning: hosts/lab.yaml: hosts: Azure doesn't say how hosts" in result.stderr
    plan = azlocal("-C", project, "plan", "lab", "--no-lock")
    assert plan.exit_code == 0, plan.stderr
    assert "shop-1-cp-0" in plan.stdout


def test_files_go_to_another_folder_and_a_site_of_another_name(azure: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    result = azlocal("import", *(azure / name for name in SAMPLES), "--stack", "a", "--site", "b", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert (out / "Pulumi.a.yaml").exists()
    assert (out / "netplans/b.yaml").exists()


@pytest.mark.parametrize("name", [*FILES, "netplans/lab.lock.yaml"])
def test_nothing_is_overwritten(azure: Path, tmp_path: Path, name: str) -> None:
    there = tmp_path / name
    there.parent.mkdir(exist_ok=True)
    there.write_text("mine", encoding="utf-8")
    result = azlocal("import", azure, "--stack", "lab", "-o", tmp_path)
    assert result.exit_code == 1
    assert f"error: {name} in {tmp_path}: there already" in result.stderr
    assert there.read_text(encoding="utf-8") == "mine"
    assert len(list(tmp_path.rglob("*.yaml"))) == 1


def test_json_has_files_and_findings(azure: Path, tmp_path: Path) -> None:
    result = azlocal("import", azure, "--stack", "lab", "-o", tmp_path, "--format", "json")
    content = json.loads(result.stdout)
    assert (content["stack"], content["site"], content["ok"]) == ("lab", "lab", True)
    assert list(content["files"]) == FILES
    assert {finding["severity"] for finding in content["findings"]} == {"warning", "info"}
    assert (tmp_path / FILES[0]).read_text(encoding="utf-8") == content["files"][FILES[0]]


def test_something_wrong_is_exit_code_2_and_nothing_is_written_unless_asked(azure: Path, tmp_path: Path) -> None:
    (azure / "networks.json").unlink()
    result = azlocal("import", azure, "--stack", "lab", "-o", tmp_path / "out", "--format", "json")
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()
    assert json.loads(result.stdout)["findings"][0]["rule"] == "import-missing-network"
    partial = azlocal("import", azure, "--stack", "lab", "-o", tmp_path / "out", "--partial")
    assert partial.exit_code == 2
    assert (tmp_path / "out" / FILES[0]).exists()


def test_unreadable_input_is_exit_code_1_with_findings(azure: Path) -> None:
    (azure / "broken.json").write_text("[\n{,\n", encoding="utf-8")
    result = azlocal("import", azure, "--format", "json")
    assert result.exit_code == 1
    assert [finding["rule"] for finding in json.loads(result.stdout)["findings"]] == ["import-broken-file"]
    assert f"{azure / 'broken.json'}:2" in result.stderr


def test_what_a_folder_has_beside_it_is_named_and_content_counts_not_names(azure: Path, tmp_path: Path) -> None:
    (azure / "azlocal.sh").write_text("#!/usr/bin/env bash\n", encoding="utf-8")
    (azure / "key.pub").write_bytes(b"\xff\xfe\x00")
    (azure / "deployment.json").rename(azure / "deployment.txt")
    (azure / "more").mkdir()
    result = azlocal("import", azure, "-o", tmp_path / "out", "--stack", "lab")
    assert result.exit_code == 0, result.stderr
    assert "azlocal.sh, key.pub: neither JSON nor Bicep, and so not read" in result.stderr
    assert "10.57.48.0/21" in (tmp_path / "out/netplans/lab.yaml").read_text(encoding="utf-8")


def test_powershells_utf_16_is_read(azure: Path, tmp_path: Path) -> None:
    text = (DATA / "networks.json").read_text(encoding="utf-8")
    (azure / "networks.json").write_bytes(text.encode("utf-16"))
    assert azlocal("import", azure, "-o", tmp_path / "out").exit_code == 0
    (azure / "networks.json").write_bytes(text.encode("utf-8-sig"))
    assert azlocal("import", azure, "-o", tmp_path / "again").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["nowhere"], 1, "nowhere can't be read: No such file or directory"),
        (["empty"], 1, "there is no file to import in empty"),
        (["x.json", "--stack", "a/b"], 2, "a stack's name has letters"),
        (["x.json", "--site", "a b"], 2, "a site's name"),
        ([], 2, "DIR|FILE"),
    ],
)
def test_what_cant_be_done_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.json").write_text(json.dumps(sample("networks.json")), encoding="utf-8")
    result = azlocal("import", *arguments)
    assert result.exit_code == code
    assert what in result.stderr


def test_rules_of_imports_are_listed() -> None:
    result = azlocal("rules", "import-twice")
    assert result.exit_code == 0
    assert "is in the files once" in result.stdout


def test_a_name_is_taken_from_azure_where_none_is_given(azure: Path, tmp_path: Path) -> None:
    result = azlocal("import", azure, "-o", tmp_path)
    assert result.exit_code == 0
    assert (tmp_path / "Pulumi.site-1.yaml").exists()
