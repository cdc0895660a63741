"""Every command ends the same way: one wrapper at the root of all of them, one table of exit codes."""

from __future__ import annotations

import re
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.errors import UserError
from infra.image.errors import ImageError
from infra.kvm import daemon
from infra.spec import Finding, SpecError
from infra.ssh import SshError
from infra.stack.state import EngineFailed


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UserError("no libvirt here"), 1, "error: no libvirt here\n"),
        (ImageError("no disk", "make room"), 1, "error: no disk\nmake room\n"),
        (SshError("node1 doesn't answer"), 1, "error: node1 doesn't answer\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "error: [Errno 13] Permission denied: '/x'\n"),
        (
            SpecError([Finding("r", "error", "f.yaml:1", "no", "yes")]),
            1,
            "error: f.yaml:1: no [r]\n    yes\n1 error\n",
        ),
        (EngineFailed("`pulumi cancel dev` failed", 255), 255, "error: `pulumi cancel dev` failed\n"),
        (EngineFailed("", 7), 7, ""),  # who failed has told it
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_a_user_can_remedy_is_told_and_nothing_more(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, told: str
) -> None:
    def fail(_say: object) -> NoReturn:
        raise error

    monkeypatch.setattr(daemon, "start", fail)
    result = CliRunner().invoke(app, ["hypervisor", "start"])
    assert (result.exit_code, result.output) == (code, told)


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "start", lambda _say: 1 // 0)
    assert isinstance(CliRunner().invoke(app, ["hypervisor", "start"]).exception, ZeroDivisionError)


def test_the_exit_codes_are_in_the_help() -> None:
    table = CliRunner().invoke(app, ["--help"]).output.partition("Exit codes:\n")[2]
    assert re.findall(r"^ *(\d+)  ", table, re.MULTILINE) == ["0", "1", "2", "3", "130"]
