"""make setup's choice between the official kubernetes plugin and the stand-in, on a machine of our making."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project import ROOT

NAME = "pulumi-resource-kubernetes"


@dataclass
class Machine:
    """A checkout with the setup step alone, and a PATH with what the test puts there."""

    root: Path

    @property
    def link(self) -> Path:
        return self.root / ".azlocal" / "bin" / NAME

    @property
    def installed(self) -> Path:
        return self.root / "home" / "plugins" / "resource-kubernetes-v4.34.2"

    def program(self, name: str, script: str) -> None:
        path = self.root / "path" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def setup(self) -> str:
        folders = [str(self.root / ".azlocal" / "bin"), str(self.root / "path"), os.environ["PATH"]]
        environment = {
            "PATH": os.pathsep.join(folders),
            "HOME": str(self.root),
            "PULUMI_HOME": str(self.root / "home"),
        }
        command = [str(self.root / "scripts" / "setup" / "kubernetes-plugin.sh")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    setup = tmp_path / "scripts" / "setup"
    setup.mkdir(parents=True)
    for name in ("lib.sh", "kubernetes-plugin.sh"):
        shutil.copy(ROOT / "scripts" / "setup" / name, setup / name)
    for folder in (".azlocal/stamps", "path", "infra/kubernetes_plugin", "home"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "infra" / "kubernetes_plugin" / NAME).write_text("#!/bin/sh\n")
    (tmp_path / "infra" / "kubernetes_plugin" / NAME).chmod(0o755)
    (tmp_path / "requirements.lock").write_text("pulumi-kubernetes==4.34.2 \\\n    --hash=x\n")
    made = Machine(tmp_path)
    made.program("curl", "echo 'curl: (6) Could not resolve host' >&2; exit 6")
    return made


def test_out_of_reach_the_stand_in_serves_and_the_reason_is_said(machine: Machine) -> None:
    said = machine.setup()
    assert "Pulumi's downloads can't be reached ((6) Could not resolve host)" in said
    assert "taking azlocal's stand-in for 4.34.2" in said
    assert machine.link.resolve() == machine.root / "infra" / "kubernetes_plugin" / NAME
    assert machine.setup() == "", "nothing to do is nothing to say"


def test_the_official_plugin_is_downloaded_where_it_can_be(machine: Machine) -> None:
    machine.program("curl", "exit 0")
    machine.program(
        "pulumi", f"[ \"$*\" = 'plugin install resource kubernetes v4.34.2' ] && mkdir -p {machine.installed}"
    )
    assert "the official one, 4.34.2, downloaded" in machine.setup()
    assert not machine.link.exists()
    assert machine.setup() == ""


def test_a_download_that_fails_is_explained(machine: Machine) -> None:
    machine.program("curl", "exit 0")
    machine.program("pulumi", "echo 'error: 404 for the plugin' >&2; exit 1")
    assert "pulumi plugin install failed (error: 404 for the plugin)" in machine.setup()
    assert machine.link.exists()


def test_the_stand_in_steps_aside(machine: Machine) -> None:
    machine.setup()
    machine.installed.mkdir(parents=True)
    assert f"the official one, 4.34.2, which is installed in {machine.installed}" in machine.setup()
    assert not machine.link.exists()
    assert machine.setup() == ""
    machine.installed.rmdir()
    machine.setup()
    assert machine.link.exists()
    machine.program(NAME, "")
    assert f"the official one, {machine.root / 'path' / NAME}, which is on PATH" in machine.setup()
    assert not machine.link.exists()


@pytest.mark.parametrize("folder", ["kubernetes_plugin", "offline"])
def test_the_stand_in_of_another_checkout_is_not_the_official_one(machine: Machine, folder: str) -> None:
    other = machine.root / "other" / "infra" / folder / NAME
    other.parent.mkdir(parents=True)
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    (machine.root / "path" / NAME).symlink_to(other)
    assert "taking azlocal's stand-in" in machine.setup()
