"""`azlocal preview` with the real engine, for a user who has chosen nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.node_image import plain_image
from tests.project import ROOT, example

pytestmark = pytest.mark.engine


def test_a_stack_is_begun_in_a_state_of_its_own_and_its_file_stays_as_it_was(tmp_path: Path) -> None:
    project = example(tmp_path / "project", "local")
    project.edit(nodeImage="plain", clusters=[])
    file = project.directory / "Pulumi.local.yaml"
    file.write_text(re.sub(r"(?m)^encryptionsalt:.*\n", "", file.read_text()))  # of the state that tests choose
    before = file.read_text()
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AZLOCAL_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "infra.cli", "-C", str(project.directory), "preview", "local", "--json"],
        env=unset | plain_image(tmp_path / "cache") | {"HOME": str(tmp_path), "CI": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "azlocal:index:StackIdentity" in done.stdout
    assert "secrets: a new random passphrase" in done.stderr
    assert list((project.directory / ".azlocal" / "state").rglob("local.json"))
    assert file.read_text() == before
