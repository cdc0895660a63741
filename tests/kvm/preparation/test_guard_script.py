"""guard.sh itself, with a folder in place of / and commands that only say that they ran."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

FULL_DISK = """#!/bin/sh
case "$*" in *port.network*) echo "install: cannot create: No space left on device" >&2; exit 1 ;; esac
exec /usr/bin/install "$@"
"""


@dataclass
class Host:
    """The script's own folder in a trial, and the folders that it writes to."""

    top: Path

    @property
    def trial(self) -> Path:
        return self.top / "run/azlocal/network-lab"

    def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.top / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", self.trial / "guard.sh", verb], env={"PATH": path}, capture_output=True, text=True, check=False
        )

    def command(self, name: str, script: str = "#!/bin/sh\n") -> None:
        file = self.top / "bin" / name
        file.write_text(script)
        file.chmod(0o755)

    def status(self) -> str:
        return (self.trial / "status").read_text().strip()

    def written(self) -> dict[str, str]:
        """Return the files in /etc, and those in /run that networkd and netplan read."""
        found = [*(self.top / "etc").rglob("*"), *(self.top / "run/netplan").rglob("*")]
        found += (self.top / "run/systemd").rglob("*")
        return {str(one.relative_to(self.top)): one.read_text() for one in found if one.is_file()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    for folder in ("bin", "etc/netplan", "run/azlocal/network-lab/new"):
        (tmp_path / folder).mkdir(parents=True)
    script = (files("infra.kvm.preparation") / "files" / "guard.sh").read_text()
    for folder in ("/etc/", "/run/"):
        script = script.replace(f"={folder}", f"={tmp_path}{folder}").replace(f" {folder}", f" {tmp_path}{folder}")
    (host.trial / "guard.sh").write_text(script)
    (host.trial / "names").write_text("90-azlocal-lab.yaml\nazlocal-lab.network\neno1\nazlocal-network-lab\n")
    for name in ("new-links", "stale-links"):
        (host.trial / name).write_text("")
    (host.trial / "new/netplan.yaml").write_text("the network\n")
    (host.trial / "new/port.network").write_text("the port\n")
    for name in ("netplan", "networkctl", "systemctl", "ip", "sleep"):
        host.command(name)
    assert host.run("try").returncode == 0
    assert host.status() == "applied"
    return host


KEPT = {
    "etc/netplan/90-azlocal-lab.yaml": "the network\n",
    "etc/systemd/network/06-azlocal-lab.network": "the port\n",
}


def test_what_is_confirmed_is_kept_and_not_taken_back_any_more(host: Host) -> None:
    assert host.run("confirm").returncode == 0
    assert (host.status(), host.written()) == ("confirmed", KEPT)
    host.run("rollback")
    assert (host.status(), host.written()) == ("confirmed", KEPT)


def test_what_was_taken_back_can_not_be_confirmed(host: Host) -> None:
    assert host.run("rollback").returncode == 0
    assert (host.status(), host.written()) == ("rolled-back", {})
    done = host.run("confirm")
    assert (done.returncode, done.stdout) == (3, "rolled-back\n")
    assert host.written() == {}


def test_a_host_that_can_not_write_it_down_takes_it_back(host: Host) -> None:
    """Were it decided before it is written, nothing would be left to do it."""
    host.command("install", FULL_DISK)
    done = host.run("confirm")
    assert done.returncode not in (0, 3)
    assert "No space left on device" in done.stderr
    assert "etc/netplan/90-azlocal-lab.yaml" not in host.written(), "not one of two files"
    host.run("rollback")
    assert (host.status(), host.written()) == ("rolled-back", {})


def test_a_netplan_that_fails_once_all_is_written_changes_nothing(host: Host) -> None:
    host.command("netplan", "#!/bin/sh\nexit 1\n")
    assert host.run("confirm").returncode == 0
    assert (host.status(), host.written()) == ("confirmed", KEPT)


def test_what_is_not_wanted_any_more_goes(host: Host) -> None:
    assert host.run("confirm").returncode == 0
    for name in ("status", "new/netplan.yaml", "new/port.network"):
        (host.trial / name).unlink()
    (host.trial / "decided").rmdir()
    host.run("try")
    assert host.status() == "applied"
    assert host.run("confirm").returncode == 0
    assert (host.status(), host.written()) == ("confirmed", {})
