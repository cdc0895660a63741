"""`azlocal ci` with real machines: what a killed run left goes before the next one has its host."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.ssh import LocalShell
from infra.stack.ci import host_lease
from infra.stack.ci.host_lease import LEASE_FILE
from tests.emptiness import leftovers
from tests.instance import HOSTS, NETPLAN, require_image, stranger, virsh
from tests.project import ROOT, Project

pytestmark = pytest.mark.e2e

RUNS = ("killed", "next")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose stack is a resource bridge alone; its runs are gone at the end."""
    require_image("plain")
    key = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    made = Project(tmp_path / "project", "site")
    config = {
        "site": "here",
        "machineType": "container",
        "nodeImage": "plain",
        "resourceBridge": {"vmSize": "Tiny"},
        "sshPublicKeys": [f"{key}.pub"],
        "clusters": [],
    }
    made.write(config=config, hosts=HOSTS, netplan=NETPLAN)
    with stranger():
        yield made
        lease = host_lease.look(LocalShell()).lease
        if lease is not None and lease.remains.run in RUNS:
            end_lease()
            ci(made, "reap", "site")


def ci(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [str(ROOT / ".venv/bin/python"), "-P", "-m", "infra.cli", "ci", *words, "--format", "json"],
        cwd=project.directory,
        env=project.variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"exit {done.returncode}:\n{done.stderr}"
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def end_lease() -> None:
    """Have the host's lease end long ago, as that of a run that was killed."""
    lease = host_lease.look(LocalShell()).lease
    assert lease is not None
    Path(LEASE_FILE).write_text(lease.model_copy(update={"renewed": 1}).model_dump_json(by_alias=True))


def test_what_a_killed_run_left_goes_and_the_next_run_leaves_nothing(project: Project) -> None:
    killed = ci(project, "up", "site", "--run", "killed", "--wait", "20m")["instance"]
    assert f"{killed}-rb-0" in virsh("list", "--name")
    shutil.rmtree(project.directory / ".azlocal/ci/killed")  # as a runner's clean checkout does
    end_lease()
    assert [host["state"] for host in ci(project, "lease", "site")["hosts"]] == ["dirty"]

    following = ci(project, "up", "site", "--run", "next")["instance"]
    assert leftovers(killed) == []
    assert f"{following}-rb-0" in virsh("list", "--name")
    ci(project, "down", "--run", "next")
    assert leftovers(following) == []
    assert not Path(LEASE_FILE).exists()
    report = project.directory / ".azlocal/ci/next/report"
    assert {path.name for path in report.iterdir()} >= {"summary-up.md", "junit-up.xml", "junit-down.xml"}
