"""A change of a host's network, seen by the controller; what the host does is proven on a real one (tests/e2e)."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from infra.errors import Interrupted
from infra.hosts.facts.network import Link, Route
from infra.kvm.errors import HostError
from infra.kvm.preparation import NetworkRolledBack
from infra.kvm.preparation import guard as guards
from infra.kvm.preparation.guard import Trial, change_network, shortcomings
from infra.model.work import Work
from infra.ssh import CommandResult, FileMissing, LocalShell, SshError
from tests.kvm.preparation.samples import ENO1, TAGGED, UNTAGGED, carried_out, facts, wants


def trial(seconds: float = 1.5) -> Trial:
    wanted = wants(TAGGED)
    _, design = carried_out(facts(), wanted)
    return Trial(facts(), wanted, design, seconds)


@dataclass
class Machine:
    """A host that takes a change back by itself, as its timer would.

    Attributes:
        links: What it shows once the change is on trial.
        deaf: How often it can't be reached after the change.
        refuses: Whether netplan refuses the change.
        loses_answer: Whether the connection breaks after the confirmation has arrived.
        keeps: The exit code of the confirmation, and what it says.
    """

    links: dict[str, Link]
    routes: tuple[Route, ...] = facts().routes
    deaf: int = 0
    refuses: bool = False
    loses_answer: bool = False
    keeps: tuple[int, str] = (0, "")
    status: str = ""
    commands: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    opened: int = 0
    closed: int = 0

    def reach(self) -> Console:
        self.opened += 1
        return Console(self)


class Console(LocalShell):
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def run(self, argv: Sequence[str], **_: Any) -> CommandResult:
        machine, line = self._machine, " ".join(argv)
        if machine.status == "applied" and machine.deaf:
            machine.deaf -= 1
            raise SshError("node1: no connection")
        machine.commands.append(line)
        if "-try sh" in line:
            machine.status = "refused" if machine.refuses else "applied"
        elif line.endswith("guard.sh confirm"):
            if machine.keeps[0] != 0:
                return CommandResult(tuple(argv), machine.keeps[0], "", machine.keeps[1])
            machine.status = "confirmed"
            if machine.loses_answer:
                raise SshError("node1: the connection broke")
        elif line.startswith("systemctl start") or (line.endswith("rollback") and "systemd-run" not in line):
            machine.status = "rolled-back"
        return CommandResult(tuple(argv), 0, self._shown(argv), "")

    def _shown(self, argv: Sequence[str]) -> str:
        if argv[0] != "ip":
            return ""
        if "route" in argv:
            routes = [
                {"dst": str(one.destination), "gateway": one.gateway and str(one.gateway)}
                for one in self._machine.routes
            ]
            return json.dumps(routes if argv[1] == "-4" else [])
        return json.dumps(
            [
                {
                    "ifname": link.name,
                    "mtu": link.mtu,
                    "flags": ["UP"] if link.is_up else [],
                    "master": link.master,
                    "addr_info": [
                        {
                            "local": one.text.split("/")[0],
                            "prefixlen": int(one.text.split("/")[1]),
                            "scope": "global",
                        }
                        for one in link.addresses
                    ],
                }
                for link in self._machine.links.values()
            ]
        )

    def read_file(self, path: str) -> bytes:
        if path.endswith("/status"):
            self.run(["cat", path])
            if self._machine.status:
                return f"{self._machine.status}\n".encode()
        if path.endswith("/log"):
            return b"bad YAML at line 3"
        raise FileMissing(path)

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        assert mode == 0o600
        self._machine.files[path.rpartition("/network-lab/")[2]] = data

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        assert mode == 0o700

    def exists(self, path: str) -> bool:
        return path.rpartition("/network-lab/")[2] in self._machine.files

    def close(self) -> None:
        self._machine.closed += 1


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "_ROLLBACK_SECONDS", 1.0)
    monkeypatch.setattr(guards, "_PAUSE", 0.01)


def after() -> dict[str, Link]:
    return dict(carried_out(facts(), wants(TAGGED))[0].links)


def change(machine: Machine, on: Trial | None = None, cancelled: threading.Event | None = None) -> list[str]:
    said: list[str] = []
    try:
        change_network(
            machine.reach, on or trial(), Work(cancelled=cancelled or threading.Event(), status=said.append)
        )
    finally:
        assert machine.opened == machine.closed
    return said


def test_the_timer_runs_before_anything_changes_and_another_connection_confirms() -> None:
    machine = Machine(after())
    said = change(machine)
    armed = next(i for i, line in enumerate(machine.commands) if "--on-active=2s" in line)
    tried = next(i for i, line in enumerate(machine.commands) if "-try sh" in line)
    assert armed < tried
    assert machine.status == "confirmed"
    assert machine.opened == 2
    assert machine.files["new/netplan.yaml"].decode() == trial().design.netplan
    assert machine.files["new-links"] == b"eno1.110\nazl-lab-aks\n"
    assert machine.files["names"].decode().splitlines() == [
        "90-azlocal-lab.yaml",
        "azlocal-lab.network",
        "",
        "azlocal-network-lab",
    ]
    assert "stays" in said[-1]


def test_a_host_that_answers_late_is_waited_for() -> None:
    machine = Machine(after(), deaf=20)
    change(machine)
    assert machine.status == "confirmed"


def test_a_host_that_lacks_something_is_told_to_take_it_back() -> None:
    links = after() | {"azl-lab-aks": Link("azl-lab-aks", "bridge", is_up=False)}
    with pytest.raises(NetworkRolledBack, match="azl-lab-aks is down") as raised:
        change(Machine(links))
    assert "+      id: 110" in str(raised.value)


@pytest.mark.parametrize(
    ("keeps", "said"),
    [
        ((1, "install: No space left on device\n"), "the host can't keep it: install: No space left on device"),
        ((2, ""), "the host can't keep it: exit code 2"),
        ((3, ""), "the host had begun to take it back by itself"),
    ],
)
def test_a_host_that_can_not_keep_the_change_says_why(keeps: tuple[int, str], said: str) -> None:
    machine = Machine(after(), keeps=keeps)
    with pytest.raises(NetworkRolledBack, match=f"it is as before: {said}"):
        change(machine, trial(0.3))
    assert machine.status == "rolled-back"


def test_what_netplan_says_is_passed_on() -> None:
    with pytest.raises(NetworkRolledBack, match="bad YAML at line 3"):
        change(Machine(after(), refuses=True))


def test_a_host_that_never_answers_again_is_no_rollback() -> None:
    with pytest.raises(HostError, match="outlives a reboot") as raised:
        change(Machine(after(), deaf=10_000), trial(0.3))
    assert not isinstance(raised.value, NetworkRolledBack)


def test_a_cancelled_run_leaves_the_old_network() -> None:
    cancelled = threading.Event()
    cancelled.set()
    machine = Machine(after())
    with pytest.raises(Interrupted, match="stopped on request; the host has its old network again"):
        change(machine, cancelled=cancelled)
    assert machine.status == "rolled-back"


def test_a_lost_answer_to_the_confirmation_loses_nothing() -> None:
    machine = Machine(after(), loses_answer=True)
    change(machine)
    assert machine.status == "confirmed"


def test_a_trial_that_a_killed_run_left_is_ended_first() -> None:
    machine = Machine(after(), files={"guard.sh": b""})
    change(machine)
    assert machine.commands[0].endswith("guard.sh rollback")


@pytest.mark.parametrize(
    ("links", "routes", "said"),
    [
        ({}, facts().routes, []),
        ({"azl-lab-lan": None}, facts().routes, ["azl-lab-lan isn't there", "192.0.2.11/24 of eno1 is gone"]),
        ({"eno1": replace(ENO1, addresses=(), master=None)}, facts().routes, ["eno1 is no port of azl-lab-lan"]),
        ({}, (), ["the default route by 192.0.2.1 is gone"]),
    ],
)
def test_what_was_lost_is_named(links: dict[str, Link | None], routes: tuple[Route, ...], said: list[str]) -> None:
    wanted = wants(UNTAGGED)
    done, design = carried_out(facts(), wanted)
    shown = {name: link for name, link in (dict(done.links) | links).items() if link is not None}
    assert shortcomings(Trial(facts(), wanted, design), shown, routes) == said


def test_addresses_that_routers_lend_may_change() -> None:
    lent = replace(ENO1, addresses=(replace(ENO1.addresses[0], text="2001:db8::1/64", is_lasting=False),))
    before = replace(facts(), links={"eno1": lent})
    bare = {"eno1": replace(lent, addresses=())}
    assert (
        shortcomings(Trial(before, wants(), replace(trial().design, ports={}, new=())), bare, facts().routes) == []
    )
