"""The program as the engine runs it, but in this process and without an engine: what it says before it makes."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.stack import run_pulumi_func

from infra import program
from tests.project import Project


class _NothingIsMade(Mocks):
    """An engine that takes no resource."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        raise AssertionError(f"{args.typ} {args.name} is made")

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"{args.token} is called")


def refusal(project: Project, *, preview: bool = True) -> str:
    """Run a project's program; return what it says instead of making a resource."""
    monitor = MockMonitor(_NothingIsMade())

    async def run() -> None:
        set_mocks(monitor.mocks, "azlocal", project.stack, preview, monitor=monitor)
        await run_pulumi_func(program.main)  # and wait until what it declared is made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "project_directory", lambda: project.directory)  # which else the engine says
        for name, value in {"CI": "", **project.environment}.items():
            patch.setenv(name, value)
        with pytest.raises(pulumi.RunError) as caught:  # of which the engine shows no more than its text
            asyncio.run(run())
    assert monitor.get_registered_resources() == {}
    return str(caught.value)
