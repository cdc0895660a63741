"""A shell as root for somebody who isn't: every way to the host goes through sudo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.ssh import CommandError, CommandResult, FileError, FileMissing, LocalShell, LoginRefused, RootShell

SUDO = ("sudo", "-n")


class Ann(LocalShell):
    """This machine, with somebody logged in whose sudo works, or doesn't."""

    def __init__(self, user: str = "ann", refusal: str = "") -> None:
        self.user = user
        self.refusal = refusal
        self.commands: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        self.commands.append(tuple(argv))
        if tuple(argv) == ("id", "--user", "--name"):
            return CommandResult(tuple(argv), 0, f"{self.user}\n", "")
        if tuple(argv[:2]) == SUDO:
            if self.refusal:
                return CommandResult(tuple(argv), 1, "", self.refusal)
            return super().run(argv[2:], **options)
        return super().run(argv, **options)


def test_commands_go_through_sudo_with_messages_in_english() -> None:
    ann = Ann()
    shell = RootShell(ann)
    assert shell.run(["printf", "%s", "a b"]).stdout == "a b"
    assert ann.commands[-1] == ("sudo", "-n", "env", "LC_ALL=C", "printf", "%s", "a b")
    assert shell.login() == "ann"
    with pytest.raises(CommandError, match="ended with code 3"):
        shell.run(["sh", "-c", "exit 3"])


def test_root_needs_no_sudo() -> None:
    ann = Ann("root")
    shell = RootShell(ann)
    shell.run(["true"])
    assert shell.login() is None
    assert all(command[0] != "sudo" for command in ann.commands)


def test_who_logs_in_is_asked_once() -> None:
    ann = Ann()
    shell = RootShell(ann)
    for _ in range(3):
        shell.run(["true"])
    assert len([one for one in ann.commands if one[0] == "id"]) == 1


def test_a_host_that_lets_in_somebody_else_now_is_noticed() -> None:
    class Reinstalled(Ann):
        def login_name(self) -> str:
            return self.user

    ann = Reinstalled("root")
    shell = RootShell(ann)
    assert shell.login() is None
    ann.user = "bob"
    assert shell.run(["printf", "b"]).stdout == "b"
    assert ann.commands[-1] == ("sudo", "-n", "env", "LC_ALL=C", "printf", "b")
    assert ann.commands.count(("sudo", "-n", "true")) == 1
    ann.user, ann.refusal = "carl", "sudo: a password is required\n"
    with pytest.raises(LoginRefused, match="carl isn't root"):
        shell.run(["true"])


def test_a_sudo_that_asks_for_a_password_is_said_with_the_remedy() -> None:
    shell = RootShell(Ann(refusal="sudo: a password is required\n"))
    with pytest.raises(LoginRefused, match="sudo: a password is required") as raised:
        shell.run(["true"])
    assert "ann ALL=(ALL) NOPASSWD: ALL" in str(raised.value)


@pytest.mark.parametrize("user", ["root", "ann"])
def test_files_are_whole_private_and_any_bytes(tmp_path: Path, user: str) -> None:
    shell = RootShell(Ann(user))
    path = tmp_path / "a b" / "file"
    data = bytes(range(256)) * 100
    shell.make_directory(str(path.parent), mode=0o700)
    shell.write_file(str(path), data, mode=0o640)
    assert shell.read_file(str(path)) == data
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o640, 0o700)
    assert [one.name for one in path.parent.iterdir()] == ["file"], "nothing is left beside it"
    assert shell.exists(str(path))
    shell.remove_tree(str(path.parent))
    assert not shell.exists(str(path))


@pytest.mark.parametrize("user", ["root", "ann"])
def test_files_that_are_missing_and_folders_too(tmp_path: Path, user: str) -> None:
    shell = RootShell(Ann(user))
    with pytest.raises(FileMissing):
        shell.read_file(str(tmp_path / "none"))
    with pytest.raises(FileError):
        shell.write_file(str(tmp_path / "none" / "file"), b"secret")
    with pytest.raises(FileError):
        shell.read_file(str(tmp_path))
    (tmp_path / "dangling").symlink_to("nowhere")
    assert shell.exists(str(tmp_path / "dangling"))
