"""How tests run together: the longest files first, chains that stop at their first failure, costs recorded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.spec.kubernetes_versions import BUILT_VERSIONS
from tests.costs import file_seconds
from tests.recording import RECORD_VARIABLE, Measure, Record, Reporting

collect_ignore = [] if shutil.which("terraform") or shutil.which("tofu") else ["export/test_terraform.py"]
"""What needs a program that no package registry has; a test that is skipped fails in CI."""
_FAILED_STEP = pytest.StashKey[dict[str, str]]()
"""The first step that failed, by the file of its chain."""


def pytest_report_header() -> list[str]:
    """Say which files aren't run for what this machine lacks."""
    return [f"not run: tests/{file}, since there is no terraform and no tofu here" for file in collect_ignore]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FAILED_STEP] = {}
    record = os.environ.get(RECORD_VARIABLE)
    if record and not os.environ.get("PYTEST_XDIST_WORKER"):
        config.pluginmanager.register(Record(Path(record)))
    if record and (os.environ.get("PYTEST_XDIST_WORKER") or not config.getoption("numprocesses", None)):
        config.pluginmanager.register(Measure())


@pytest.fixture(scope="session", autouse=True)
def _built_is_what_azure_offers() -> Iterator[None]:
    """Have azlocal build what Azure Local offers and tests.instances has: plans then have no word on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.plan.rules.versions.BUILT_VERSIONS", (*BUILT_VERSIONS, "1.33.5"))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first: with several workers, the last one to end decides."""
    seconds = file_seconds()
    items.sort(key=lambda item: (-seconds.get(file_of(item), 0.0), file_of(item)))


def file_of(item: pytest.Item) -> str:
    """Return the file of a test, relative to the checkout."""
    return item.nodeid.partition("::")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Reporting:
    report = yield
    if report.failed and item.get_closest_marker("chain"):
        item.config.stash[_FAILED_STEP].setdefault(file_of(item), item.name)
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Don't run what builds on a step that failed: it would only say the same in other words."""
    failed = item.config.stash[_FAILED_STEP].get(file_of(item))
    if failed and item.get_closest_marker("chain"):
        pytest.skip(f"not run: {failed}, an earlier step of this chain, failed")
