"""Units of ours, on a host of which nothing but its files is looked at."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.kvm import emulator_unit, systemd
from infra.ssh import CommandResult, LocalShell


class Files(LocalShell):
    """A host whose files lie in a folder; what is run there is noted."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root, self.ran = root, list[str]()

    def exists(self, path: str) -> bool:
        return super().exists(f"{self.root}{path}")

    def read_file(self, path: str) -> bytes:
        return super().read_file(f"{self.root}{path}")

    def write_file(self, path: str, data: bytes, mode: int = 0o600) -> None:
        super().write_file(f"{self.root}{path}", data, mode=mode)

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 60, check: bool = True
    ) -> CommandResult:
        self.ran.append(shlex.join(argv))
        if argv[0] == "rm":
            (self.root / argv[-1].lstrip("/")).unlink()
        return CommandResult(tuple(argv), 0, "", "")


@pytest.fixture
def host(tmp_path: Path) -> Files:
    for folder in ("run/systemd/system", "etc/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    return Files(tmp_path)


def test_a_unit_is_enabled_once_and_taken_away(host: Files) -> None:
    for _ in range(2):
        systemd.install_unit(host, "a.service", "[Unit]\n")
    assert host.ran == ["systemctl daemon-reload", "systemctl --quiet enable -- a.service"]
    host.ran.clear()
    for _ in range(2):
        systemd.remove_unit(host, "a.service")
    assert host.ran == [
        "systemctl --quiet disable -- a.service",
        "rm --force -- /etc/systemd/system/a.service",
        "systemctl daemon-reload",
    ]


def test_words_of_a_unit_mean_nothing_to_systemd() -> None:
    assert systemd.quoted('a "b" 100% $HOME \\ c') == '"a \\"b\\" 100%% $HOME \\\\ c"'
    assert systemd.command_line(["run", "$HOME"]) == '"run" "$$HOME"'


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has units of the machine")
def test_an_emulator_starts_with_the_machine_as_it_was_started_here(
    host: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state of mine")
    emulator_unit.install(host, "lab", Path("/var/state of mine/azlocal/emulator/lab"))
    unit = host.read_file("/etc/systemd/system/azlocal-emulator-lab.service").decode()
    assert "ConditionPathExists=/var/state of mine/azlocal/emulator/lab\n" in unit
    assert '"XDG_STATE_HOME=/var/state of mine"' in unit
    assert f'ExecStart="{sys.executable}" "-m" "infra.cli" "emulator" "start" "--instance" "lab"\n' in unit
    assert said_of(host.root / "etc/systemd/system/azlocal-emulator-lab.service") == ""
    emulator_unit.uninstall(host, "lab")
    assert not host.exists("/etc/systemd/system/azlocal-emulator-lab.service")


def said_of(unit: Path) -> str:
    """Return what systemd itself says is wrong with a unit; nothing where there is no systemd to ask."""
    if shutil.which("systemd-analyze") is None:
        return ""
    asked = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return "\n".join(line for line in done.stderr.splitlines() if unit.name in line)


def test_where_no_systemd_runs_nothing_is_installed(tmp_path: Path) -> None:
    bare = Files(tmp_path)
    emulator_unit.install(bare, "lab", tmp_path)
    emulator_unit.uninstall(bare, "lab")
    assert bare.ran == []
