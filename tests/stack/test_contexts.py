"""The stack's contexts in the user's own kubeconfig."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.certificates import KeyPair
from infra.errors import UserError
from infra.kubernetes.kubeconfig import merge_into_file
from infra.kubernetes.pki import kubeconfig
from infra.stack import contexts
from infra.stack.state import Stack


class Standing(Stack):
    """A stack with one cluster."""

    def outputs(self) -> dict[str, Any]:
        return {"clusters": {"a": {"context": "dev-a"}}}


STACK = Standing("dev", Path(), "")


def config(name: str, ca: str) -> str:
    return kubeconfig(name, "https://10.0.0.1:6443", ca, KeyPair("CERT", "KEY"))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr(contexts, "stack_output", lambda *_: config("dev-a", "NEW"))
    return path


def test_what_was_merged_is_made_current_and_goes_with_the_cluster(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contexts.update(STACK)
    contexts.remove(["dev-a"])
    assert not file.exists(), "nothing was merged, so nothing is"
    merge_into_file(file, config("dev-a", "OLD"))
    merge_into_file(file, config("work", "WORK"))
    old = file.read_text()
    contexts.update(STACK)
    assert file.read_text() != old
    assert yaml.safe_load(file.read_text())["current-context"] == "work"
    contexts.remove(contexts.contexts_of(STACK))
    assert [one["name"] for one in yaml.safe_load(file.read_text())["contexts"]] == ["work"]
    assert f"dev-a went from {file}" in capsys.readouterr().err


def test_a_kubeconfig_that_cannot_be_read_stops_neither_up_nor_down(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[")
    contexts.update(STACK)
    contexts.remove(["dev-a"])
    assert capsys.readouterr().err.count("is no YAML, so nothing was changed") == 2
    file.write_text(config("dev-a", "OLD"))

    def refuse(*_: object) -> str:
        raise UserError("no passphrase")

    monkeypatch.setattr(contexts, "stack_output", refuse)
    contexts.update(STACK)
    assert "may be out of date: no passphrase" in capsys.readouterr().err
