"""A project for the real engine, with a program in the tests' own process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from tests.project import ROOT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with a stack; its runtime is one that isn't there, as nobody is to start one."""
    (tmp_path / "Pulumi.yaml").write_text("name: toy\nruntime: nowhere\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  toy:word: hello\n")
    monkeypatch.setenv("PATH", f"{ROOT / '.azlocal' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_BACKEND_URL", tmp_path.as_uri())
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "test")
    monkeypatch.setenv("PULUMI_SKIP_UPDATE_CHECK", "true")
    monkeypatch.setenv("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
    monkeypatch.chdir(tmp_path)
    subprocess.run(["pulumi", "stack", "init", "dev"], check=True, capture_output=True)
    yield tmp_path
    pulumi.runtime.reset_options()
