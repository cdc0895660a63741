"""What runs before anything of ours is checked is pinned: the tools that write the locks, the actions of CI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT

# Stands in for python3: its `venv` has a pip and a uv that only note how they are called.
PYTHON = """#!/bin/sh
mkdir -p "$3/bin"
for tool in pip uv; do
    printf '#!/bin/sh\\necho %s "$@" >>"%s"; cat >/dev/null\\n' "$tool" "$CALLS" >"$3/bin/$tool"
    chmod 755 "$3/bin/$tool"
done
"""


def test_what_writes_the_locks_is_installed_by_its_hash(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").write_text(PYTHON)
    (tmp_path / "bin/python3").chmod(0o755)
    (tmp_path / "checkout/scripts").mkdir(parents=True)
    script = shutil.copy(ROOT / "scripts/lock.sh", tmp_path / "checkout/scripts/lock.sh")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    subprocess.run(
        [script],
        env={"PATH": path, "CALLS": str(calls)},
        stdin=subprocess.DEVNULL,
        check=True,
        capture_output=True,
    )
    installed, *compiled = calls.read_text().splitlines()
    lock = tmp_path / "checkout/scripts/setup/uv.lock"
    assert installed.endswith(f" install --require-hashes --requirement {lock}")
    assert len(compiled) == 3
    assert all("--generate-hashes" in call for call in compiled)


@pytest.mark.parametrize("lock", ["requirements.lock", "scripts/setup/bootstrap.lock", "scripts/setup/uv.lock"])
def test_every_requirement_has_its_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    required = re.findall(r"^[a-z0-9].*==.*$", text, re.MULTILINE | re.IGNORECASE)
    assert required
    assert [line for line in required if not line.endswith("\\")] == []
    assert text.count("--hash=sha256:") >= len(required)


def test_actions_are_those_of_a_commit() -> None:
    used = []
    for workflow in (ROOT / ".github/workflows").glob("*.yml"):
        for job in yaml.safe_load(workflow.read_text())["jobs"].values():
            used += [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one)] == []
