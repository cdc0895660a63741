"""Asking a host: who may ask, what its shell refuses, and how long all of it takes."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest

from infra.doctor import checks, survey
from infra.doctor.checks import HOST_CHECKS, Subject, judge_host
from infra.doctor.checks.base import Verdict
from infra.doctor.facts import HostFacts, Unknown
from infra.doctor.gather import Asked
from infra.doctor.gather.access import reach
from infra.doctor.gather.commands import Commands, Unlearned, learned
from infra.hosts.facts import Fact
from infra.model.work import Work
from infra.ssh import (
    CommandResult,
    HostKeyChanged,
    HostKeyRevoked,
    HostKeyUnknown,
    LocalShell,
    LoginRefused,
    SshError,
)
from infra.ssh.process import Process
from tests.doctor.samples import healthy, wanted
from tests.waiting import waits_less_than

Publish = Callable[[HostFacts], None]


def local(seconds: float = 20) -> Commands:
    return Commands(LocalShell(), Work().within(seconds), ())


# -- commands --------------------------------------------------------------------------------------------


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(Unlearned, match="`nosuchcommand` isn't installed"):
        local().output(["nosuchcommand"])


def test_a_command_that_fails_says_how() -> None:
    with pytest.raises(Unlearned, match="code 3: no luck"):
        local().output(["sh", "-c", "echo no luck >&2; exit 3"])
    assert local().output(["sh", "-c", "echo some; exit 3"], check=False) == "some\n"
    assert local().learn_or("else", Fact(("false",), str)) == "else"
    assert local().learn_or(0, Fact(("echo", "7"), int)) == 7


def test_a_command_that_hangs_is_ended() -> None:
    with waits_less_than(30), pytest.raises(Unlearned, match="didn't end within 0 s"):
        local().output(["sleep", "30"], seconds=0.2)


def test_a_host_that_ends_nothing_is_lost() -> None:
    commands = local()
    for _ in range(2):
        assert commands.lost is None
        with pytest.raises(Unlearned):
            commands.output(["sleep", "30"], seconds=0.1)
    assert "2 commands in a row didn't end" in str(commands.lost)


def test_one_slow_command_loses_no_host() -> None:
    commands = local()
    for _ in range(2):
        with pytest.raises(Unlearned):
            commands.output(["sleep", "30"], seconds=0.1)
        commands.output(["true"])
    assert commands.lost is None


def test_a_broken_connection_is_a_lost_host() -> None:
    commands = Commands(FakeShell(SshError("the SSH connection broke")), Work().within(5), ())
    with pytest.raises(Unlearned):
        commands.output(["true"])
    assert commands.lost == "the SSH connection broke"


def test_no_time_left() -> None:
    assert learned(lambda: local(0).output(["true"])) == Unknown("the host wasn't asked: the time was over")


def test_root_is_asked_for_and_refused() -> None:
    commands = Commands(LocalShell(), Work().within(5), None)
    with pytest.raises(Unlearned, match="sudo wants a password"):
        commands.output(["true"], as_root=True)
    assert (
        Commands(LocalShell(), Work().within(5), ("env", "A=1")).output(["printenv", "A"], as_root=True) == "1\n"
    )


# -- access ----------------------------------------------------------------------------------------------


@dataclass
class FakeShell:
    """A shell that refuses, or answers from a table."""

    error: Exception | None = None
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    host: str = "node1"

    def run(self, argv: Sequence[str], **_: object) -> CommandResult:
        if self.error is not None:
            raise self.error
        code, text = self.answers.get(" ".join(argv), (127, ""))
        return CommandResult(tuple(argv), code, text, "")

    def dial(self, address: str, port: int, **_: object) -> socket.socket:
        raise SshError("sshd there forbids it")

    # The rest of a shell: who is only looked at is asked for none of it.

    ssh_arguments: Sequence[str] | None = None

    def login_name(self) -> str:
        raise NotImplementedError

    def start(self, argv: Sequence[str]) -> Process:
        raise NotImplementedError

    def read_file(self, path: str) -> bytes:
        raise NotImplementedError

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        raise NotImplementedError

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        raise NotImplementedError

    def remove_tree(self, path: str) -> None:
        raise NotImplementedError

    def exists(self, path: str) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("error", "stage"),
    [
        (SshError("no connection"), "unreachable"),
        (HostKeyUnknown("in none of"), "hostKeyUnknown"),
        (HostKeyChanged("another"), "hostKeyChanged"),
        (HostKeyRevoked("marked"), "hostKeyRevoked"),
        (LoginRefused("may not"), "loginRefused"),
    ],
)
def test_where_the_way_ends(error: Exception, stage: str) -> None:
    found = reach(FakeShell(error), Work().within(5))
    assert (found.stage, found.message) == (stage, str(error))


def test_who_we_are_there() -> None:
    answers = {
        "id --user": (0, "1000\n"),
        "id --user --name": (0, "ann\n"),
        "sudo --non-interactive true": (1, ""),
        "printenv SSH_CONNECTION": (0, "192.0.2.1 5000 192.0.2.11 2222\n"),
    }
    found = reach(FakeShell(answers=answers), Work().within(5))
    assert (found.user, found.is_root, found.can_sudo) == ("ann", False, False)
    assert (found.server_address, found.forwarding) == (IPv4Address("192.0.2.11"), "sshd there forbids it")
    answers["sudo --non-interactive true"] = (0, "")
    assert reach(FakeShell(answers=answers), Work().within(5)).acts_as_root


# -- time ------------------------------------------------------------------------------------------------


def test_a_host_that_hangs_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def gather(
        host: object, _instance: object, _asked: object, publish: Callable[[HostFacts], None], *_: object
    ) -> None:
        if host is not instance.hosts[0]:
            publish(healthy(2))
        if host is not instance.hosts[1]:
            never.wait(30)

    monkeypatch.setattr(survey, "gather", gather)
    monkeypatch.setattr(survey, "_GRACE_SECONDS", 0.2)
    instance = wanted(3)
    with waits_less_than(30):
        seen: list[tuple[str, str]] = []
        found = survey.ask_all(
            instance,
            instance.hosts,
            Asked((), (), 0.3, False),
            lambda host, doing, **_: seen.append((host, doing)),
        )
    never.set()
    assert found["node1"].access.message.startswith("the host said nothing")
    assert found["node2"].access.stage == found["node3"].access.stage == "reached"
    assert ("node2", "done") in seen


def asked_by(monkeypatch: pytest.MonkeyPatch, gather: Callable[..., None]) -> HostFacts:
    monkeypatch.setattr(survey, "gather", gather)
    instance = wanted(1)
    return survey.ask_all(instance, instance.hosts, Asked((), (), 0.3, False), lambda *_, **__: None)["node1"]


def test_a_fault_of_azlocals_own_is_neither_a_traceback_nor_a_silent_host(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def gather(*_: object) -> None:
        raise ValueError("Port out of range 0-65535")

    found = asked_by(monkeypatch, gather)
    assert found.access.stage == "unreachable"
    assert "asking the host failed in azlocal itself (ValueError: Port out of range" in found.access.message
    assert "said nothing" not in str(found)
    assert "Traceback" not in capfd.readouterr().err


def test_what_was_learned_before_azlocals_fault_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = replace(healthy(1), dns=HostFacts(healthy(1).access).dns)

    def gather(
        _host: object, _instance: object, _asked: object, publish: Callable[[HostFacts], None], *_: object
    ) -> None:
        publish(before)
        raise KeyError("x")

    found = asked_by(monkeypatch, gather)
    assert found.access.stage == "reached"
    assert found.storage == before.storage
    assert found.dns == Unknown("asking the host failed in azlocal itself (KeyError: 'x')")


def test_a_host_that_no_thread_could_ask_was_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    found = asked_by(monkeypatch, lambda *_: None)
    assert found.access.message.startswith("the host wasn't asked: can't start new thread")


def test_a_check_that_fails_itself_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Verdict:
        raise AttributeError("x")

    first, *others = HOST_CHECKS
    monkeypatch.setattr(checks, "HOST_CHECKS", [replace(first, judge=broken), *others])
    results = list(judge_host(Subject(healthy(1), wanted(1).hosts[0], wanted(1))))
    assert (results[0].status, results[0].seen) == ("warning", "the check itself failed: AttributeError: x")
    assert len(results) == len(HOST_CHECKS)


@pytest.mark.parametrize(
    "connection",
    [
        "qemu+ssh://root@h:99999/system",
        "qemu+ssh://root@h:x/system",
        "qemu+ssh://root@[:::1]/system",
        "qemu+ssh://[::1/system",
        "qemu+ssh:///system",
        "qemu+ssh://root@-oProxyCommand=x/system",
        "qemu+tls://h/system",
        "qemu+ssh://root@nobody.invalid/system",
        "qemu+ssh://root@192.168.1.300/system",
        f"qemu+ssh://root@{'n' * 64}/system",
        "qemu+ssh://root@a..b/system",
    ],
)
def test_no_connection_is_a_traceback(connection: str, capfd: pytest.CaptureFixture[str]) -> None:
    instance = wanted(1)
    host = replace(instance.hosts[0], connection=connection)
    with waits_less_than(20):
        found = survey.ask_all(instance, [host], Asked((), (), 20, False), lambda *_, **__: None)["node1"]
    assert found.access.stage == "unreachable"
    assert "said nothing" not in found.access.message
    assert "azlocal itself" not in found.access.message
    assert "let us in" not in found.access.message
    assert "Traceback" not in capfd.readouterr().err


def test_an_interrupt_waits_until_the_probes_have_tidied_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tidied = threading.Event()

    def gather(*arguments: object) -> None:
        work = arguments[-1]
        assert isinstance(work, Work)
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # as Ctrl-C does
        assert work.cancelled.wait(10)
        time.sleep(0.2)
        tidied.set()

    monkeypatch.setattr(survey, "gather", gather)
    instance = wanted(1)
    with pytest.raises(KeyboardInterrupt):
        survey.ask_all(instance, instance.hosts, Asked((), (), 30, False), lambda *_, **__: None)
    assert tidied.is_set()
