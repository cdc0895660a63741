"""The pytest plugin, in a pytest of its own, with an `azlocal` that only notes how it is called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

MADE = {
    "instance": "ci0a1b2",
    "kubeconfig": "/p/kubeconfig",
    "clusters": {
        "a": {"context": "x-a", "endpoint": "https://10.198.1.9:6443", "loadBalancer": ["10.198.1.100"]},
        "b": {"context": "x-b", "endpoint": "https://10.198.1.8:6443", "loadBalancer": []},
    },
}
TESTS = """
def test_one(azlocal_cluster):
    assert azlocal_cluster.context == "x-a"
    assert str(azlocal_cluster.kubeconfig) == "/p/kubeconfig"
    assert azlocal_cluster.load_balancer == ("10.198.1.100",)

def test_other(azlocal_instance):
    assert azlocal_instance.name == "ci0a1b2"
    assert list(azlocal_instance.clusters) == ["a", "b"]
"""


def run(folder: Path, *options: str, up: int = 0, down: int = 0) -> tuple[str, list[list[str]]]:
    """Run the tests; return what pytest printed, and how `azlocal` was called."""
    stub = folder / "bin/azlocal"
    stub.parent.mkdir()
    stub.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"open({str(folder / 'calls')!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
        f"code = {up} if 'up' in sys.argv else {down}\n"
        f"print({json.dumps(MADE)!r} if code == 0 else '')\n"
        "print('the engine says why', file=sys.stderr)\nsys.exit(code)\n"
    )
    stub.chmod(0o755)
    (folder / "test_x.py").write_text(TESTS)
    environment = {**os.environ, "PATH": f"{stub.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    plain = ("-p", "no:cacheprovider", "-p", "infra.testing", "--rootdir", str(folder), "-q")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plain, *options, str(folder / "test_x.py")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    calls = (folder / "calls").read_text().splitlines()
    return done.stdout, [json.loads(line) for line in calls]


def test_an_instance_is_made_once_and_taken_down(tmp_path: Path) -> None:
    said, (up, down) = run(tmp_path, "--azlocal-project", "/site", "--azlocal-stack", "lab", "--azlocal-run", "r")
    assert "2 passed" in said
    assert up == [
        *("-C", "/site", "ci", "up", "lab", "--run", "r"),
        *("--lease", "2h", "--wait", "30m", "--format", "json"),
    ]
    assert down == ["-C", "/site", "ci", "down", "--run", "r", "--format", "json"]


def test_an_instance_that_cannot_be_made_fails_the_tests_and_is_taken_down(tmp_path: Path) -> None:
    said, calls = run(tmp_path, up=1)
    assert "no instance: `azlocal ci up` ended with 1" in said
    assert "the engine says why" in said
    assert [call[3] for call in calls] == ["up", "down"]
    assert calls[0][6].startswith("pytest-")


@pytest.mark.parametrize(
    ("options", "text", "verbs"),
    [
        ((), "something is left", ["up", "down"]),
        (("--azlocal-keep",), "2 passed", ["up"]),
    ],
)
def test_what_is_left_is_an_error_unless_it_is_kept(
    tmp_path: Path, options: tuple[str, ...], text: str, verbs: list[str]
) -> None:
    said, calls = run(tmp_path, *options, down=2)
    assert text in said
    assert [call[3] for call in calls] == verbs
