"""`azlocal plan --firewall`: its formats, what it doesn't go with, and that it records nothing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.invoking import run_command
from tests.instances import cluster, files, write_files


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_files(tmp_path, files([cluster()]))
    return tmp_path


def test_the_file_s_ending_says_the_format(project: Path) -> None:
    for name, begins in (("c.csv", "Source,From"), ("c.nft", "# What instance lab"), ("c.json", "{")):
        done = run_command(project, "plan", "lab", "--firewall", "-o", str(project / name))
        assert done.exit_code == 0, done.output
        assert (project / name).read_text(encoding="utf-8").startswith(begins)
    assert not (project / "netplans/s.lock.yaml").exists()


def test_each_format_has_the_same_connections(project: Path) -> None:
    said = {
        shown: run_command(project, "plan", "lab", "--firewall", "--format", shown).stdout
        for shown in ("json", "csv", "table")
    }
    connections = json.loads(said["json"])["connections"]
    assert len(list(csv.reader(io.StringIO(said["csv"])))) == len(connections) + 1
    assert all(connection["purpose"] in said["table"] for connection in connections)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lab", "--format", "csv"), "csv goes with --firewall only"),
        (("lab", "--firewall", "--format", "svg"), "--firewall can't be shown as svg"),
        (("lab", "--firewall", "--size"), "it goes with --format and --output only"),
        (("lab", "--firewall", "--explain", "a-vip"), "it goes with --format and --output only"),
        (("--site", "s", "--firewall"), "it goes with --format, --output, --no-lock and --frozen only"),
    ],
)
def test_what_doesn_t_go_together_is_refused(project: Path, words: tuple[str, ...], said: str) -> None:
    done = run_command(project, "plan", *words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())


def test_a_plan_that_breaks_a_rule_has_no_connections(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster(logicalNetwork="other")]))
    done = run_command(tmp_path, "plan", "lab", "--firewall", "--format", "json")
    assert done.exit_code == 2
    content = json.loads(done.stdout)
    assert content["connections"] == []
    assert content["findings"]
