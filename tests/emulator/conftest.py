"""A running emulator, and the Azure SDKs that use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.pipeline.transport import RequestsTransport

from infra.emulator import daemon
from tests.emulator.azure_sdk import Azure


@pytest.fixture(scope="module")
def running_azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """One emulator for a file's tests; each has a resource group of its own."""
    folder: Path = tmp_path_factory.mktemp("emulator")
    try:
        yield Azure(daemon.ensure_running(folder))
    finally:
        daemon.remove(folder)


@pytest.fixture
def waits(running_azure: Azure, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the SDKs waited, each of which passed at once, by the emulator's clock."""
    seen: list[float] = []

    def sleep(transport: RequestsTransport, seconds: float) -> None:
        seen.append(seconds)
        running_azure.admin.advance(seconds)

    monkeypatch.setattr(RequestsTransport, "sleep", sleep)
    return seen


@pytest.fixture
def azure(running_azure: Azure, waits: list[float]) -> Iterator[Azure]:
    """The emulator without faults; whatever it answered the SDKs had the shape that Azure publishes."""
    running_azure.faults.clear()
    running_azure.requests.clear()
    yield running_azure
    running_azure.admin.clear()
    assert running_azure.faults == []


@pytest.fixture
def group(azure: Azure, request: pytest.FixtureRequest) -> str:
    """A resource group, named for the test."""
    return azure.group(request.node.name.replace("[", "-").rstrip("]")[:80])
