"""Control planes that stand learn of others before these may join."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.kvm.errors import HostError
from infra.provider.kinds import address_holders, control_plane
from infra.provider.kinds.address_holders import give_up, tell, to_tell
from infra.provider.kinds.control_plane import ControlPlaneKind
from infra.resources.control_plane import ControlPlaneInputs, ControlPlaneState, Member
from tests.provider.test_certificate_renewal import MEMBERS, OF_0_1_0, WIRE, Recorder, Servers, in_days, use
from tests.provider.test_kinds import operation

THREE = [Member.model_validate(one) for one in MEMBERS]
ONE = [THREE[0], THREE[3]]


def test_one_that_stands_learns_of_those_to_come_and_the_new_ones_know() -> None:
    assert to_tell(ONE, THREE) == {"lab-a-cp-0": ["10.0.0.19", "10.0.0.20"]}


def test_nothing_is_told_where_nothing_changes() -> None:
    assert to_tell(THREE, THREE) == {}
    replaced = THREE[0].model_copy(update={"ssh_host_key": "another"})
    assert to_tell(THREE, [replaced, *THREE[1:]]) == {}, "the address is the same"
    assert to_tell(THREE[:3], THREE) == {}, "a worker more"


def test_what_is_told_goes_to_the_node_s_own_program(tmp_path: Path) -> None:
    shell = Recorder()

    @contextmanager
    def login(member: Member) -> Iterator[Recorder]:
        yield shell

    tell(operation("ControlPlane"), THREE, {"lab-a-cp-0": ["10.0.0.19"]}, login)
    (command,) = shell.commands
    assert (command[0], command[-1]) == ("sudo", "10.0.0.19")


@pytest.mark.parametrize(
    ("there", "then"),
    [
        ("etc/keepalived/peers.nft", "vrrp-peers 10.0.0.19 10.0.0.20"),
        ("etc/azlocal/node/peers", "10.0.0.19\n10.0.0.20\n"),
        ("etc/other", ""),
    ],
)
def test_a_node_is_told_a_machine_that_is_none_yet_too_and_one_of_0_1_0_is_left_alone(
    tmp_path: Path, there: str, then: str
) -> None:
    for path in (there, "usr/lib/azlocal/vrrp-peers"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    program = tmp_path / "usr/lib/azlocal/vrrp-peers"
    program.write_text(f'#!/bin/sh\necho "vrrp-peers $*" >{tmp_path}/told\n')
    program.chmod(0o755)
    script = address_holders._TELL.replace("/etc/", f"{tmp_path}/etc/").replace("/usr/", f"{tmp_path}/usr/")
    command = ["sh", "-c", script, "vrrp-peers", "10.0.0.19", "10.0.0.20"]
    subprocess.run(command, check=True, env={"PATH": os.environ["PATH"]})
    told = tmp_path / "told"
    found = told.read_text().strip() if told.exists() else (tmp_path / there).read_text()
    assert found == then


def test_nobody_is_admitted_before_all_know(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    use(monkeypatch, Servers(cp_0=in_days(3650)))

    def refused(*_: Any) -> None:
        order.append("tell")
        raise HostError("no")

    monkeypatch.setattr(control_plane, "tell", refused)
    monkeypatch.setattr(control_plane, "admit_nodes", lambda *_: order.append("admit"))
    old = ControlPlaneState.model_validate(OF_0_1_0 | {"members": [MEMBERS[0], MEMBERS[3]]})
    with pytest.raises(HostError):
        ControlPlaneKind().update(operation("ControlPlane"), "lab/a", old, ControlPlaneInputs.model_validate(WIRE))
    assert order == ["tell"]


def test_one_that_cannot_be_told_is_named() -> None:
    @contextmanager
    def login(member: Member) -> Iterator[Recorder]:
        yield Recorder(fails="sudo")

    with pytest.raises(HostError, match="lab-a-cp-0 can't be told which control planes"):
        tell(operation("ControlPlane"), THREE, {"lab-a-cp-0": []}, login)


def test_a_control_plane_that_leaves_gives_the_address_up() -> None:
    shell = Recorder()

    @contextmanager
    def login(member: Member) -> Iterator[Recorder]:
        yield shell

    give_up(operation("ControlPlane"), THREE[0], login)
    ((*sudo, script),) = shell.commands
    assert sudo == ["sudo", "sh", "-c"]
    handed_over, stopped = script.strip().splitlines()
    assert handed_over.startswith("[ ! -x /usr/lib/azlocal/api-endpoint ] ||"), (
        "an older image has no such program"
    )
    assert stopped == "systemctl stop keepalived.service"
    shell.fails = "sudo"
    with pytest.raises(HostError, match="lab-a-cp-0 can't be told to give up the cluster's address"):
        give_up(operation("ControlPlane"), THREE[0], login)
