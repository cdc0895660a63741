"""The two shells behave alike: each test runs on this machine directly, and through a real sshd."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from infra.ssh import (
    CommandError,
    CommandResult,
    FileError,
    FileMissing,
    LocalShell,
    Process,
    Shell,
    ShellError,
    SshError,
    SshShell,
    TooMuchOutput,
    command_loop,
)
from infra.ssh.options import SshTarget
from tests.ssh.conftest import Server
from tests.waiting import eventually, takes_less_than, waits_less_than


@pytest.fixture(params=["local", "ssh"])
def shell(request: pytest.FixtureRequest) -> Iterator[Shell]:
    if request.param == "local":
        yield LocalShell()
        return
    server: Server = request.getfixturevalue("server")
    shell = SshShell(SshTarget("127.0.0.1"), server.options)
    yield shell
    shell.close()


def test_arguments_arrive_as_they_are(shell: Shell) -> None:
    arguments = ["a b", "$HOME", "'", '"', "*", "", "ä", "two\nlines\n", "'\n'", "\n", "\\n", "-n", "`id`"]
    assert shell.run(["printf", "%s|", *arguments]).stdout == "".join(f"{one}|" for one in arguments)
    fed = shell.run(["sh", "-c", 'printf "%s|" "$@"; cat', "sh", *arguments], input=b"fed")
    assert fed.stdout == "".join(f"{one}|" for one in arguments) + "fed"


def test_a_program_is_run_even_where_a_shell_has_a_builtin_of_its_name(shell: Shell) -> None:
    assert shell.run(["echo", "-e", "a\\tb"]).stdout == "a\tb\n"
    assert (
        "GNU coreutils"
        in shell.run(["test", "--version"], check=False).stdout + shell.run(["printf", "--version"]).stdout
    )


def test_a_command_changes_nothing_for_the_next(shell: Shell) -> None:
    def look() -> CommandResult:
        return shell.run(["sh", "-c", 'echo "$PWD $LEFT $(umask)" >&2; cat'])

    before = look()
    for command in ("exit 3", "cd /; umask 0; export LEFT=over", "kill -TERM $$", "exec 1>&- 2>&-", "cat"):
        shell.run(["sh", "-c", command], check=False)
    assert look() == before


def test_input_and_both_outputs_can_be_big(shell: Shell) -> None:
    data = b"x" * 5_000_000
    result = shell.run(["tee", "/dev/stderr"], input=data)
    assert (len(result.stdout), len(result.stderr)) == (len(data), len(data))


def test_command_that_ignores_its_input(shell: Shell) -> None:
    assert shell.run(["true"], input=b"x" * 5_000_000).exit_code == 0


def test_failure_names_command_code_and_reason_but_never_the_input(shell: Shell) -> None:
    with pytest.raises(CommandError) as caught:
        shell.run(["sh", "-c", "echo reason >&2; exit 3"], input=b"secret")
    error = caught.value
    assert (error.exit_code, error.stderr) == (3, "reason\n")
    assert "ended with code 3: reason" in str(error)
    assert "secret" not in str(error)
    assert shell.run(["false"], check=False).exit_code == 1


def test_failure_is_told_bounded(shell: Shell) -> None:
    with pytest.raises(CommandError) as caught:
        shell.run(["sh", "-c", "yes | head -c 100000 >&2; echo last >&2; exit 1"])
    assert len(str(caught.value)) < 3000
    assert str(caught.value).endswith("last")


def test_missing_program(shell: Shell) -> None:
    with pytest.raises(CommandError, match="is the program installed there") as caught:
        shell.run(["no-such-program"])
    assert caught.value.exit_code == 127


def test_timeout(shell: Shell) -> None:
    with waits_less_than(30), pytest.raises(CommandError, match="didn't end in time") as caught:
        shell.run(["sh", "-c", "echo begun; sleep 30"], timeout=0.5)
    assert (caught.value.exit_code, caught.value.stdout) == (None, "begun\n")
    assert shell.run(["true"]).exit_code == 0


def test_files(shell: Shell, tmp_path: Path) -> None:
    folder, file = tmp_path / "a" / "b c", tmp_path / "a" / "b c" / "file"
    shell.make_directory(str(folder), mode=0o711)
    shell.make_directory(str(folder), mode=0o711)
    assert folder.stat().st_mode & 0o777 == 0o711
    data = bytes(range(256)) * 1000
    shell.write_file(str(file), b"old")
    shell.write_file(str(file), data, mode=0o640)
    assert file.stat().st_mode & 0o777 == 0o640
    assert shell.read_file(str(file)) == data
    assert [child.name for child in folder.iterdir()] == ["file"]
    assert shell.exists(str(file))
    shell.remove_tree(str(tmp_path / "a"))
    shell.remove_tree(str(tmp_path / "a"))
    assert not shell.exists(str(file))


def test_file_errors(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="no-file"):
        shell.read_file(str(tmp_path / "no-file"))
    with pytest.raises(FileError, match="can't be written"):
        shell.write_file(str(tmp_path / "no-folder" / "file"), b"")
    (tmp_path / "target").mkdir()
    with pytest.raises(FileError, match="can't be written"):
        shell.write_file(str(tmp_path / "target"), b"")
    assert not list(tmp_path.glob(".target*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ShellError, match="file"):
        shell.make_directory(str(tmp_path / "file" / "sub"))


@pytest.mark.parametrize("path", ["/", "//", "relative", "", "/tmp/../.."])
def test_never_removes_what_nobody_can_mean(shell: Shell, path: str) -> None:
    with pytest.raises(FileError, match="refusing"):
        shell.remove_tree(path)


def test_what_a_command_leaves_in_the_background_is_not_heard_in_the_next(shell: Shell) -> None:
    late = "for _ in 1 2 3; do sleep 0.3; echo LATE; echo LATE >&2; done"
    first = shell.run(["sh", "-c", f"({late}) & echo first; echo first >&2"])
    assert (first.stdout[:6], first.stderr[:6]) == ("first\n", "first\n")
    second = shell.run(["sh", "-c", "sleep 1.2; echo second; echo second >&2"])
    assert (second.stdout, second.stderr) == ("second\n", "second\n")


def test_nor_what_a_daemon_says_that_has_left_its_session(shell: Shell) -> None:
    shell.run(["sh", "-c", "setsid sh -c 'sleep 0.5; echo LATE; sleep 0.5; echo LATE' & echo first"])
    assert shell.run(["sh", "-c", "sleep 1.2; echo second"]).stdout == "second\n"


def test_many_at_once(shell: Shell) -> None:
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda n: shell.run(["sh", "-c", f"sleep 0.05; echo {n}"]).stdout, range(64)))
    assert results == [f"{n}\n" for n in range(64)]


@pytest.mark.parametrize("input", [None, b"never read" * 1000])
def test_commands_that_end_at_once_break_no_connection(shell: Shell, input: bytes | None) -> None:
    """What a client sends to a channel that the server has closed meanwhile ends the connection for all."""
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: shell.run(["true"], input=input).exit_code, range(400)))
    assert set(codes) == {0}


def test_interrupted_threads_do_not_harm_others(shell: Shell) -> None:
    shell.run(["true"])
    before = threading.active_count()
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(shell.run, ["sleep", "30"], timeout=0.2)
        fine = pool.submit(shell.run, ["sleep", "0.5"])
        assert isinstance(late.exception(), CommandError)
        assert fine.result().exit_code == 0
    eventually(lambda: threading.active_count() <= before, "the end of every thread", seconds=20)


def lines(process: Process, input: Iterable[bytes] = ()) -> list[str]:
    return [line for line in process.lines(input, patience=20) if line is not None]


def test_a_process_is_fed_and_heard_at_the_same_time(shell: Shell) -> None:
    sent = [bytes([65 + number % 26]) * 99_999 + b"\n" for number in range(100)]
    with shell.start(["head", "--bytes=10000000"]) as process:
        assert "".join(f"{line}\n" for line in lines(process, sent)) == b"".join(sent).decode()


def test_a_process_that_fails_says_so(shell: Shell) -> None:
    with (
        shell.start(["sh", "-c", 'echo one; echo "$0" >&2; exit 3', "a b"]) as process,
        pytest.raises(CommandError) as error,
    ):
        assert lines(process, [b"never read" * 1_000_000]) == ["one"]
    assert (error.value.exit_code, error.value.stderr) == (3, "a b")


def test_a_process_that_falls_silent_is_given_up(shell: Shell) -> None:
    with (
        shell.start(["sh", "-c", "echo one; exec sleep 30"]) as process,
        pytest.raises(SshError, match="nothing was heard from there for 1 s"),
    ):
        assert [line for line in process.lines(patience=1) if line] == ["one"]


def test_nobody_waits_for_what_a_command_leaves_there(server: Server) -> None:
    shell = SshShell(SshTarget("127.0.0.1"), server.options)
    try:
        left: list[CommandResult] = []
        background = ["sh", "-c", "sleep 30 & echo first"]
        assert takes_less_than(10, lambda: left.append(shell.run(background)))
        assert left[0].stdout == "first\n"
        assert shell.run(["echo", "second"]).stdout == "second\n"
    finally:
        shell.close()


@pytest.mark.parametrize("to", ["&1", "&2"])
def test_a_host_cannot_fill_this_machines_memory(server: Server, monkeypatch: pytest.MonkeyPatch, to: str) -> None:
    for module in ("command_loop", "process", "remote"):
        monkeypatch.setattr(f"infra.ssh.{module}.MOST_BYTES", 1_000_000)
    shell = SshShell(SshTarget("127.0.0.1"), server.options)
    try:
        with pytest.raises(TooMuchOutput, match=r"127.0.0.1: `sh -c .* gave more than 64 MiB, and was cut off"):
            shell.run(["sh", "-c", f"cat /dev/zero >{to}"], timeout=30)
        assert len(shell.run(["head", "-c", "999999", "/dev/zero"]).stdout) == 999_999
        with pytest.raises(TooMuchOutput, match="/dev/zero gave more"):
            shell.read_file("/dev/zero")
        endless = pytest.raises(TooMuchOutput, match="a line of `cat /dev/zero` gave more")
        with endless, shell.start(["cat", "/dev/zero"]) as process:
            lines(process)
        with shell.start(["sh", "-c", "yes | head -c 3000000"]) as process:
            assert len(lines(process)) == 1_500_000
    finally:
        shell.close()


def test_a_file_that_is_too_large_is_not_even_begun(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("infra.ssh.remote.MOST_BYTES", 1_000_000)
    shell = SshShell(SshTarget("127.0.0.1"), server.options)
    try:
        for size in (0, 999_999, 1_000_000):
            (tmp_path / "file").write_bytes(b"x" * size)
            assert len(shell.read_file(str(tmp_path / "file"))) == size
        os.truncate(tmp_path / "file", 1 << 40)
        with pytest.raises(TooMuchOutput, match="file gave more"):
            shell.read_file(str(tmp_path / "file"))
        assert "MemTotal" in shell.read_file("/proc/meminfo").decode()
    finally:
        shell.close()


def test_a_process_that_ssh_cannot_start_says_why(server: Server) -> None:
    shell = SshShell(SshTarget("127.0.0.1"), replace(server.options, known_hosts=("/dev/null",)))
    with shell.start(["true"]) as process, pytest.raises(SshError, match="Host key verification failed"):
        lines(process)


def test_its_caller_gets_a_turn_while_a_process_says_nothing(shell: Shell) -> None:
    with shell.start(["sleep", "30"]) as process:
        turns = process.lines(patience=60)
        heard: list[str | None] = []
        assert takes_less_than(1, lambda: heard.append(next(turns)))
    assert set(heard) == {None}


def test_a_process_hears_that_nobody_needs_it_any_more(shell: Shell, tmp_path: Path) -> None:
    with shell.start(["sh", "-c", 'echo on; read -r _; touch "$0"', str(tmp_path / "ended")]) as process:
        assert next(line for line in process.lines(patience=20) if line) == "on"
        process.close()
        process.close()
    if isinstance(shell, SshShell):
        eventually((tmp_path / "ended").exists, "the end of the process", seconds=20)


def test_long_input_is_sent_in_pieces_since_paramiko_copies_the_rest_after_each_packet() -> None:
    pieces: list[bytes] = []
    channel = type("Channel", (), {"sendall": staticmethod(pieces.append)})
    data = os.urandom((5 << 20) + 17)
    command_loop._send(channel, data)  # type: ignore[arg-type]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 1 << 20
