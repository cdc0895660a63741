"""An engine, in this process, that takes every resource a program declares and makes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.stack import run_pulumi_func

Inputs = dict[str, dict[str, Any]]


class _Taking(Mocks):
    """Takes every resource, and what it was given."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        self.outputs = outputs
        self.taken: Inputs = {}
        self.loops: set[asyncio.AbstractEventLoop] = set()

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.taken[args.name] = dict(args.inputs)
        self.loops.add(asyncio.get_event_loop())  # of Pulumi's thread, which nobody closes
        return f"/id/{args.name}", {**args.inputs, **self.outputs}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"{args.token} is called")


def declared(program: Callable[[], object], *, preview: bool = True, **outputs: Any) -> Inputs:
    """Return what a program declares: each resource's inputs, by its name.

    Args:
        program: Declares resources.
        preview: Whether what nobody tells is unknown; else it is nothing.
        outputs: What each of them tells beside its inputs.
    """
    mocks = _Taking(outputs)
    monitor = MockMonitor(mocks)

    async def declare() -> None:
        program()

    async def run() -> None:
        set_mocks(mocks, "azlocal", "lab", preview, monitor=monitor)
        await run_pulumi_func(declare)

    asyncio.run(run())
    for loop in mocks.loops:
        loop.close()
    return mocks.taken
