"""What only SSH has: logins that fail with a remedy, broken connections, jumps, dialling through the host."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest

from infra.model.work import Work
from infra.ssh import (
    CommandResult,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    SshError,
    SshShell,
    wait_for_host_key,
)
from infra.ssh.options import SshOptions, SshTarget
from tests.ports import free_port
from tests.ssh.conftest import Server, make_server
from tests.waiting import eventually

Connect = Callable[[SshOptions], SshShell]

LOOP = "ps -o sid= -p $$"
"""Tells the shell that runs the commands: sshd begins a session with it."""


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    shells: list[SshShell] = []

    def make(options: SshOptions) -> SshShell:
        monkeypatch.setattr("infra.ssh.remote.resolve", lambda target: options)
        shells.append(SshShell(SshTarget("node1")))
        return shells[-1]

    yield make
    for shell in shells:
        shell.close()


def test_unknown_host_key_is_refused_with_fingerprint_and_remedy(server: Server, connect: Connect) -> None:
    (server.folder / "known").write_text("")
    with pytest.raises(
        HostKeyUnknown, match=r"ssh-ed25519 SHA256:.* is in none of .*accept it once by `ssh -- node1`"
    ):
        connect(server.options).run(["true"])


def test_changed_host_key_is_refused(server: Server, connect: Connect) -> None:
    other = (server.folder / "user.pub").read_text()
    (server.folder / "known").write_text(f"[127.0.0.1]:{server.port} {other}")
    with pytest.raises(HostKeyChanged, match=r"but known_hosts has SHA256:.*ssh-keygen -R"):
        connect(server.options).run(["true"])


def test_host_key_alias(server: Server, connect: Connect) -> None:
    (server.folder / "known").write_text(f"lab {server.public_key}\n")
    assert connect(replace(server.options, key_alias="lab")).run(["true"]).exit_code == 0


def test_key_that_is_not_accepted(server: Server, connect: Connect) -> None:
    with pytest.raises(LoginRefused, match=r"may not log in.*ssh-copy-id"):
        connect(replace(server.options, identity_files=(str(server.folder / "host"),))).run(["true"])
    with pytest.raises(SshError, match=r"may not log in|login failed"):
        connect(replace(server.options, identity_files=())).run(["true"])


def test_nothing_listens(server: Server, connect: Connect) -> None:
    with pytest.raises(SshError, match=r"Connection refused.*is sshd running"):
        connect(replace(server.options, port=free_port())).run(["true"])


def test_proxy_carries_the_connection_and_leaves_no_process(server: Server, connect: Connect) -> None:
    command = shlex.join(["nc", "127.0.0.1", str(server.port)])
    shell = connect(replace(server.options, proxy_command=command))
    assert shell.run(["echo", "through"]).stdout == "through\n"
    shell.close()
    pgrep = ["pgrep", "-P", str(os.getpid()), "-x", "nc"]
    eventually(
        lambda: subprocess.run(pgrep, stdout=subprocess.DEVNULL).returncode == 1, "the end of nc", seconds=20
    )


def test_failing_proxy_says_why(server: Server, connect: Connect) -> None:
    with pytest.raises(SshError, match="the proxy says: no way"):
        connect(replace(server.options, proxy_command="sh -c 'echo no way >&2'")).run(["true"])


def test_reconnects_after_the_server_went_away(server: Server, connect: Connect) -> None:
    shell = connect(server.options)
    first = session(shell)
    os.kill(first, signal.SIGKILL)
    connections = [one for one in threading.enumerate() if isinstance(one, paramiko.Transport)]
    assert connections
    eventually(lambda: not any(one.is_active() for one in connections), "the end of the connection", seconds=20)
    assert session(shell) != first


def test_a_connection_that_broke_while_nobody_used_it_is_noticed(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.ssh.session_pool._DOUBT_SECONDS", -1)
    shell = connect(server.options)
    for _ in range(20):
        os.kill(session(shell), signal.SIGKILL)
        assert shell.run(["true"]).exit_code == 0
        os.kill(session(shell), signal.SIGKILL)
        assert shell.exists("/")


def test_each_connection_is_asked_who_logs_in(server: Server, connect: Connect) -> None:
    """The host may have been replaced meanwhile, for somebody else."""
    shell = connect(server.options)
    asked: list[Sequence[str]] = []
    run = shell.run

    def remember(argv: Sequence[str], **options: Any) -> CommandResult:
        asked.append(argv)
        return run(argv, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shell, "run", remember)
        assert {shell.login_name() for _ in range(3)} == {server.options.user}
        assert len(asked) == 1
        shell.close()
        assert shell.login_name() == server.options.user
        assert len(asked) == 2


def test_commands_and_files_take_turns_in_standing_sessions(server: Server, connect: Connect) -> None:
    shell = connect(server.options)
    loops = {shell.run(["sh", "-c", f"echo $({LOOP})"]).stdout for _ in range(5) if shell.exists("/")}
    assert len(loops) == 1


def session(shell: SshShell) -> int:
    """Return the process of sshd that serves the connection: it is the parent of what runs the commands."""
    return int(shell.run(["sh", "-c", f"ps -o ppid= -p $({LOOP})"]).stdout)


def test_connection_that_breaks_during_a_command(server: Server, connect: Connect) -> None:
    shell = connect(server.options)
    killer = threading.Timer(0.3, os.kill, (session(shell), signal.SIGKILL))
    killer.start()
    with pytest.raises(SshError, match="broke during `sleep 30`"):
        shell.run(["sleep", "30"])
    killer.join()


@pytest.mark.parametrize("sessions", [1, 2])
def test_server_with_room_for_fewer_sessions(tmp_path: Path, connect: Connect, sessions: int) -> None:
    server = make_server(tmp_path, f"MaxSessions {sessions}")
    process = server.start()
    try:
        shell = connect(server.options)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda n: shell.run(["sh", "-c", f"echo {n}"]).stdout, range(16)))
            assert all(pool.map(lambda _: shell.run(["true"]) and shell.exists("/"), range(16)))
    finally:
        process.kill()
        process.wait()


def test_server_that_allows_no_sessions(tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.ssh.session_pool._OPENING_SECONDS", 0.2)
    server = make_server(tmp_path, "MaxSessions 0")
    process = server.start()
    try:
        with pytest.raises(SshError, match="opens no further session"):
            connect(server.options).run(["true"])
    finally:
        process.kill()
        process.wait()


def test_a_login_that_runs_no_commands_says_why(tmp_path: Path, connect: Connect) -> None:
    server = make_server(tmp_path, "ForceCommand echo only backups here >&2")
    process = server.start()
    try:
        with pytest.raises(SshError, match=r"broke during `true`.*The last from there: only backups here"):
            connect(server.options).run(["true"])
    finally:
        process.kill()
        process.wait()


def test_dials_from_the_host(server: Server, connect: Connect) -> None:
    shell = connect(server.options)
    wait_for_host_key("127.0.0.1", server.public_key, Work().within(15), shell.dial, server.port)
    with pytest.raises(OSError, match="node1 can't connect"):
        shell.dial("127.0.0.1", free_port())
    assert shell.run(["true"]).exit_code == 0


def test_dialling_an_address_that_stays_silent(server: Server, connect: Connect) -> None:
    shell = connect(server.options)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(("127.0.0.1", port))  # the queue is full now: further ones get no answer
            with pytest.raises(TimeoutError, match="no answer"):
                shell.dial("127.0.0.1", port, timeout=0.3)


def test_forbidden_forwarding_is_named(tmp_path: Path, connect: Connect) -> None:
    server = make_server(tmp_path, "AllowTcpForwarding no")
    process = server.start()
    try:
        with pytest.raises(SshError, match="AllowTcpForwarding yes"):
            connect(server.options).dial("127.0.0.1", server.port)
    finally:
        process.kill()
        process.wait()
