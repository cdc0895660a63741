"""A host whose SSH server shows another key than the one that is expected: `up` stops before it logs in there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.ssh import fingerprint
from tests.engine.node_image import plain_image
from tests.instances import files, host
from tests.project import ROOT, Project
from tests.ssh.conftest import Server, make_server

pytestmark = pytest.mark.engine

REFUSAL = "nobody runs anything here"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return an SSH server that lets us in and runs nothing: it stands on this machine, which isn't to change."""
    (tmp_path / "server").mkdir()
    found = make_server(tmp_path / "server", f"ForceCommand echo {REFUSAL} >&2")
    process = found.start()
    yield found
    process.kill()
    process.wait()


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Project:
    """Return an instance on a host that is this server, for somebody whose ~/.ssh knows it as `known` says."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    known, key = server.folder / "known", server.folder / "user"
    options = f"-o UserKnownHostsFile={known} -o GlobalKnownHostsFile=none -i {key} -o IdentitiesOnly=yes"
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F none {options} "$@"\n')
    ssh.chmod(0o755)
    made = Project(tmp_path / "project", "lab")
    made.environment |= plain_image(tmp_path / "cache")
    keys = [f"{key}.pub"]
    stack = {"resourceBridge": {"vmSize": "Small"}, "machineType": "container", "sshPublicKeys": keys}
    connection = f"qemu+ssh://{server.options.user}@127.0.0.1:{server.port}/system"
    content = files(stack=stack | {"nodeImage": "plain"}, hosts=[host(connection=connection)])
    made.write(config=content["stack"], hosts=content["hosts"], netplan=content["netplan"])
    folders = [ssh.parent, ROOT / ".azlocal" / "bin", os.environ["PATH"]]
    made.environment["PATH"] = os.pathsep.join(map(str, folders))
    made.init()
    return made


def test_a_wrong_host_key_stops_up_before_anything_is_made_there(project: Project, server: Server) -> None:
    expected = (server.folder / "user.pub").read_text()  # some other key
    right = (server.folder / "known").read_text()
    (server.folder / "known").write_text(f"[127.0.0.1]:{server.port} {expected}")
    said = project.up().expect(255).output
    for word in (
        f"{server.options.user}@127.0.0.1:{server.port}: its host key is",
        fingerprint(expected),
        fingerprint(server.public_key),
        f"({server.folder / 'known'}:1)",
        "ssh-keygen -R",
    ):
        assert word in said
    assert "Accepted publickey" not in server.log.read_text(), "nobody logged in"
    assert project.kinds().keys() & {"Host", "Network", "Image", "Machine"} == set()

    (server.folder / "known").write_text(right)
    assert REFUSAL in project.up().expect(255).output
    assert "Accepted publickey" in server.log.read_text()
