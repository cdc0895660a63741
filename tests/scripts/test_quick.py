"""Which unit tests a change reaches."""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest

from scripts.quick import reached_tests

IMPORTS = {
    "infra.spec.stack": (),
    "infra.plan.instance": ("infra.spec.stack",),
    "infra.kvm.disk": (),
    "tests.test_planning": ("infra.plan.instance",),
    "tests.kvm.test_disk": ("infra.kvm.disk", "tests.kvm.helper"),
    "tests.kvm.test_daemon": (),
    "tests.kvm.helper": (),
}


@pytest.fixture
def graph() -> grimp.ImportGraph:
    found = grimp.ImportGraph()
    for module in ("infra", "infra.spec", "infra.kvm", "tests", "tests.kvm", *IMPORTS):
        found.add_module(module)
    for importer, imported in IMPORTS.items():
        for module in imported:
            found.add_import(importer=importer, imported=module)
    return found


@pytest.mark.parametrize(
    ("changed", "reached"),
    [
        ("infra/spec/stack.py", ["tests/test_planning.py"]),
        ("infra/kvm/files/guard.sh", ["tests/kvm/test_disk.py"]),
        ("tests/kvm/helper.py", ["tests/kvm/test_disk.py"]),
        ("tests/kvm/test_daemon.py", ["tests/kvm/test_daemon.py"]),
        ("tests/kvm/conftest.py", ["tests/kvm/test_daemon.py", "tests/kvm/test_disk.py"]),
        ("tests/conftest.py", ["tests/kvm/test_daemon.py", "tests/kvm/test_disk.py", "tests/test_planning.py"]),
        ("README.md", []),
    ],
)
def test_a_change_reaches_the_tests_that_import_it(
    graph: grimp.ImportGraph, changed: str, reached: list[str]
) -> None:
    assert [str(path) for path in reached_tests([Path(changed)], graph)] == reached
