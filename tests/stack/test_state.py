"""A stack's state as files have it, and when the engine's command is asked instead."""

from __future__ import annotations

import gzip
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UserError
from infra.stack.state import EngineFailed, Stack

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
LATEST = {
    "resources": [
        {
            "urn": "urn:pulumi:dev::azlocal::pulumi:pulumi:Stack::azlocal-dev",
            "type": "pulumi:pulumi:Stack",
            "outputs": {
                "machines": {"a": {"address": "10.0.0.4", "jump": None}},
                "kubeconfig": SECRET,
                "n": [SECRET],
            },
        },
        {"urn": "urn:pulumi:dev::azlocal::azlocal:index:Host::here", "type": "azlocal:index:Host"},
    ]
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, a backend of files, and a command of the engine's that notes how it is called."""
    (tmp_path / "Pulumi.yaml").write_text("# ours\nname: azlocal  # the product\nruntime: {name: python}\n")
    command = tmp_path / "bin" / "pulumi"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\necho "$*" >>calls\n[ -e answer ] && cat answer\n[ ! -e refuse ]\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    return tmp_path


def stack(folder: Path, backend: str = "") -> Stack:
    return Stack("dev", folder, backend or (folder / "the state").as_uri())


def write(folder: Path, latest: dict[str, Any] | None, *, version: int = 3, zipped: bool = False) -> None:
    path = folder / "the state" / ".pulumi" / "stacks" / "azlocal" / "dev.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(
        {"version": version, "checkpoint": {"stack": "organization/azlocal/dev", "latest": latest}}
    )
    if zipped:
        path.with_suffix(".json.gz").write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("zipped", [False, True])
def test_state_in_files_is_read_without_the_engine(folder: Path, zipped: bool) -> None:
    write(folder, LATEST, zipped=zipped)
    found = stack(folder)
    assert found.exists()
    assert found.deployment() == LATEST
    assert found.outputs()["machines"] == {"a": {"address": "10.0.0.4", "jump": None}}
    assert calls(folder) == []


def test_what_is_secret_is_not_shown(folder: Path) -> None:
    write(folder, LATEST)
    outputs = stack(folder).outputs()
    assert (outputs["kubeconfig"], outputs["n"]) == ("[secret]", ["[secret]"])


def test_a_stack_that_has_nothing_yet(folder: Path) -> None:
    write(folder, None)
    found = stack(folder)
    assert (found.exists(), found.deployment(), found.outputs(), found.last_run_failed()) == (True, {}, {}, False)
    assert calls(folder) == []


@pytest.mark.parametrize("backend", ["", "s3://states", "file://~", "file:///state?no_tmp_dir=true"])
def test_everything_else_is_asked_of_the_engine(folder: Path, backend: str) -> None:
    """Another backend, an address with options, and a form of state that isn't known here."""
    write(folder, LATEST, version=4)
    found = stack(folder, backend)
    (folder / "answer").write_text(json.dumps({"deployment": {"resources": []}}))
    assert found.deployment() == {"resources": []}
    (folder / "answer").write_text(json.dumps([{"result": "failed"}]))
    assert found.last_run_failed()
    (folder / "answer").write_text(json.dumps({"instance": "dev"}))
    assert found.outputs() == {"instance": "dev"}
    assert [call.split(" --")[0] for call in calls(folder)] == ["stack export", "stack history", "stack output"]


def test_the_newest_run_says_whether_it_failed(folder: Path) -> None:
    write(folder, LATEST)
    history = folder / "the state" / ".pulumi" / "history" / "azlocal" / "dev"
    history.mkdir(parents=True)
    for moment, result in ((999, "failed"), (1000, "succeeded")):
        (history / f"dev-{moment}.history.json").write_text(json.dumps({"result": result}))
        (history / f"dev-{moment}.history.json.attrs").write_text("no JSON")
    assert not stack(folder).last_run_failed()
    (history / "dev-1001.history.json").write_text(json.dumps({"result": "failed"}))
    assert stack(folder).last_run_failed()
    assert calls(folder) == []


def test_locks_of_this_stack_are_found(folder: Path) -> None:
    for name in ("dev", "other"):
        locks = folder / "the state" / ".pulumi" / "locks" / "organization" / "azlocal" / name
        locks.mkdir(parents=True)
        (locks / "1.json").write_text(json.dumps({"pid": 1, "hostname": name}))
    assert [lock["hostname"] for lock in stack(folder).locks()] == ["dev"]
    assert list(stack(folder, "s3://bucket").locks()) == []


def test_attributes_that_were_half_written_are_removed_and_no_others(folder: Path) -> None:
    root = folder / "the state" / ".pulumi"
    torn = [
        root / "meta.yaml.attrs",
        root / "stacks/azlocal/dev.json.attrs",
        root / "stacks/azlocal/dev.json.bak.attrs",
        root / "history/azlocal/dev/dev-1.history.json.attrs",
        root / "locks/organization/azlocal/dev/1.json.attrs",
    ]
    stays = [
        root / "stacks/azlocal/dev.json",
        root / "stacks/azlocal/other.json.attrs",
        root / "stacks/elsewhere/dev.json.attrs",
    ]
    whole = root / "backups/azlocal/dev/dev.1.json.attrs"
    for path in (*torn, *stays, whole):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"md5": "' if path == torn[2] else "{}" if path == whole else "")
    stack(folder).drop_torn_attributes()
    stack(folder, "s3://states").drop_torn_attributes()
    assert [path for path in torn if path.exists()] == []
    assert [path for path in (*stays, whole) if not path.exists()] == []


def test_a_stack_is_selected_once(folder: Path) -> None:
    """As the engine's command notes it, whose users then need no --stack."""
    found = stack(folder)
    found.select()  # there is none
    write(folder, LATEST)
    found.select()  # another one is selected
    digest = hashlib.sha1(str(folder / "Pulumi.yaml").encode()).hexdigest()
    selected = folder / "home" / "workspaces" / f"azlocal-{digest}-workspace.json"
    selected.parent.mkdir(parents=True)
    selected.write_text(json.dumps({"stack": "organization/azlocal/dev"}))
    assert calls(folder) == ["stack select --create --stack dev --non-interactive"] * 2
    found.select()
    assert len(calls(folder)) == 2


def test_what_the_engine_says_reaches_the_user(folder: Path) -> None:
    (folder / "refuse").touch()
    (folder / "answer").write_text("error: no such backend")
    with pytest.raises(EngineFailed, match="`pulumi stack select` failed:\nerror: no such backend") as error:
        stack(folder).select()
    assert error.value.exit_code == 1
    assert not stack(folder).exists()


def test_a_missing_engine_is_told_as_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder / "nothing"))
    with pytest.raises(UserError, match="pulumi isn't on PATH"):
        stack(folder).select()


def test_state_that_a_command_of_the_engine_s_edited_is_read_as_well(folder: Path) -> None:
    """`pulumi state delete` and its like write the key as Go has the field."""
    path = folder / "the state" / ".pulumi" / "stacks" / "azlocal" / "dev.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"version": 3, "checkpoint": {"Stack": "organization/azlocal/dev", "Latest": LATEST}})
    )
    assert stack(folder).deployment() == LATEST
    assert not (folder / "calls").exists()
