"""`azlocal doctor` as people and CI call it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from infra.cli import app
from tests.instances import cluster, files, write_files


def azlocal(*arguments: object) -> Result:
    return CliRunner(env={"CI": "", "COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose hosts are addresses of this machine at which no SSH server listens."""
    write_files(tmp_path, files([cluster()]))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = tmp_path / "hosts/s.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for number, host in enumerate(content["hosts"], 1):
        host["connection"] = f"qemu+ssh://root@127.0.0.{number}:{port}/system"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path


def test_hosts_that_are_off_are_exit_code_2(project: Path) -> None:
    result = azlocal("-C", project, "doctor", "--format", "json", "--offline")
    assert result.exit_code == 2, result.output
    found = json.loads(result.stdout)
    assert (found["instance"], found["ok"]) == ("lab", False)
    assert found["hosts"]
    for host in found["hosts"]:
        [reachable] = [one for one in host["checks"] if one["status"] != "skipped"]
        assert (reachable["id"], reachable["status"]) == ("reachable", "failed")
        assert "Connection refused" in reachable["seen"]
        assert "is sshd running" in reachable["remedy"]
    assert not list((project / "netplans").glob("*.lock.yaml"))  # looking records nothing


def test_a_file_says_its_format(project: Path, tmp_path: Path) -> None:
    target = tmp_path / "doctor.xml"
    assert azlocal("-C", project, "doctor", "lab", "-o", target).exit_code == 2
    assert target.read_text(encoding="utf-8").startswith("<?xml")
    assert azlocal("-C", project, "doctor", "lab", "-o", tmp_path / "doctor.txt").exit_code == 2
    assert "✗ Host answers" in (tmp_path / "doctor.txt").read_text(encoding="utf-8")


def test_a_host_that_is_given_up_is_not_asked(project: Path) -> None:
    path = project / "hosts/s.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    first, *rest = content["hosts"]
    second = {**first, "name": "other", "managementAddress": None, "lost": True}
    content["hosts"] = [first, {key: value for key, value in second.items() if value is not None}, *rest]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    result = azlocal("-C", project, "doctor", "--format", "json", "--offline")
    assert "other isn't asked: the hosts file gives it up" in result.stderr
    assert [host["name"] for host in json.loads(result.stdout)["hosts"]] == [
        first["name"],
        *(h["name"] for h in rest),
    ]


@pytest.mark.parametrize("hosts", [[], [{"name": "gone", "connection": "qemu+ssh://root@h/system", "lost": True}]])
@pytest.mark.parametrize("output", ["json", "junit", "table"])
def test_without_a_host_to_look_at_nothing_is_well(project: Path, hosts: list[object], output: str) -> None:
    (project / "hosts/s.yaml").write_text(yaml.safe_dump({"hosts": hosts}), encoding="utf-8")
    result = azlocal("-C", project, "doctor", "lab", "--format", output, "--offline")
    assert result.exit_code == 2
    assert "the hosts file names none, or gives all of them up" in " ".join(result.stdout.split())
    if output == "json":
        assert json.loads(result.stdout)["ok"] is False


def test_one_host_alone(project: Path) -> None:
    name = yaml.safe_load((project / "hosts/s.yaml").read_text(encoding="utf-8"))["hosts"][0]["name"]
    found = json.loads(azlocal("-C", project, "doctor", "lab", "--host", name, "--format", "json").stdout)
    assert [host["name"] for host in found["hosts"]] == [name]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["lab", "--host", "nobody"], 1, "no host nobody; there are"),
        (["other"], 1, "Pulumi.other.yaml"),
        (["lab", "--endpoint", "a:b"], 2, "is no endpoint"),
        (["lab", "--endpoint", ":443"], 2, "is no endpoint"),
    ],
)
def test_what_cannot_be_asked(project: Path, arguments: list[str], code: int, said: str) -> None:
    result = azlocal("-C", project, "doctor", *arguments)
    assert result.exit_code == code
    assert said in result.stderr.replace("\n", " ")


def test_unreadable_input_is_exit_code_1(project: Path) -> None:
    (project / "hosts/s.yaml").write_text("hosts: [\n", encoding="utf-8")
    result = azlocal("-C", project, "doctor", "lab", "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"][0]["rule"] == "yaml-syntax"


def test_the_stack_is_asked_for_where_there_are_several_or_none(project: Path) -> None:
    stack = (project / "Pulumi.lab.yaml").read_text(encoding="utf-8")
    (project / "Pulumi.another.yaml").write_text(stack, encoding="utf-8")
    (project / "Pulumi.foreign.yaml").write_text("config:\n  aws:region: x\n", encoding="utf-8")
    result = azlocal("-C", project, "doctor")
    assert result.exit_code == 1
    assert "there are the stacks another, lab: name one" in result.stderr
    for name in ("another", "lab"):
        (project / f"Pulumi.{name}.yaml").unlink()
    assert "no Pulumi.STACK.yaml has azlocal: keys" in azlocal("-C", project, "doctor").stderr


def test_hosts_are_seen_without_a_sound_plan(project: Path) -> None:
    write_files(project, files([cluster(planes=2)]))
    path = project / "hosts/s.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for host in content["hosts"]:
        host["connection"] = "qemu+ssh://root@127.0.0.1:1/system"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    result = azlocal("-C", project, "doctor", "lab", "--format", "json")
    assert result.exit_code == 2
    assert "the plan isn't sound: `azlocal plan lab` says why" in result.stderr
    assert json.loads(result.stdout)["hosts"]


@pytest.mark.parametrize(
    "connection",
    ["qemu+ssh://root@h:99999/system", "qemu+ssh://root@h/session", "qemu+ssh://root@[:::1/system"],
)
def test_a_connection_that_nobody_can_open_is_told_before_anybody_is_asked(project: Path, connection: str) -> None:
    path = project / "hosts/s.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["hosts"][0]["connection"] = connection
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    result = azlocal("-C", project, "doctor", "lab", "--format", "json", "--offline")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["findings"][0]["rule"] == "bad-connection"
    assert "Traceback" not in result.output
    assert "said nothing" not in result.output
