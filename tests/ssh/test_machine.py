"""Which keys a machine lets in, tried against a real sshd."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from infra.ssh import MachineTarget, SshError
from tests.ssh.conftest import Server, make_key


def target(server: Server, *identity_files: Path) -> MachineTarget:
    def dial(address: str, port: int, *, timeout: float = 10) -> Any:
        assert (address, port) == ("192.0.2.1", 22)
        return socket.create_connection(("127.0.0.1", server.port), timeout)

    files = tuple(map(str, identity_files))
    return MachineTarget(server.options.user, "192.0.2.1", server.public_key, files, dial=dial)


@pytest.fixture
def keys(server: Server) -> dict[str, str]:
    return {name: make_key(server.folder / name, kind) for name, kind in (("new", "rsa"), ("other", "ed25519"))}


def test_a_key_is_tried_by_its_private_half_alone(server: Server, keys: dict[str, str]) -> None:
    user, new = server.folder / "user", server.folder / "new"
    known = user.with_suffix(".pub").read_text()
    machine = target(server, user, new, server.folder / "none")
    with machine.shell() as shell:
        assert shell.run(["echo", "in"]).stdout == "in\n"
    assert machine.lets_in([known])
    assert not machine.lets_in([keys["new"]]), "though another one logs in"
    authorized = server.folder / "authorized"
    authorized.write_text(f"{known}{keys['new']}\n{keys['other']}\n")
    assert machine.lets_in([keys["new"]])
    assert not machine.lets_in([keys["other"]]), "its private half isn't named"
    assert not target(server, new.with_suffix(".pub")).lets_in([keys["new"]])


def test_a_machine_that_is_not_there_is_no_refusal(server: Server) -> None:
    def dial(address: str, port: int, *, timeout: float = 10) -> Any:
        raise OSError("no route")

    user = server.folder / "user"
    machine = MachineTarget("azlocal", "192.0.2.1", server.public_key, (str(user),), dial=dial)
    with pytest.raises(SshError, match="no route"):
        machine.lets_in([user.with_suffix(".pub").read_text()])
    with machine.shell() as shell, pytest.raises(SshError, match="no route"):
        shell.run(["true"])
