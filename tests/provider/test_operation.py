"""What an operation tells the engine of its progress, and how often."""

from __future__ import annotations

import threading

import pytest

from infra.plugin.operation import Operation
from tests.provider.conftest import MemoryLog


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["waits", "waits", "waits", "goes on"], ["waits", "goes on"]),
        (["waits", *["waits"] * 11], ["waits", "waits"]),
        (["one", "other", "one"], ["one", "other", "one"]),
    ],
)
def test_the_same_text_is_a_line_of_a_log_once_in_ten_seconds(
    texts: list[str], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MemoryLog()
    op = Operation("urn:pulumi:lab::azlocal::azlocal:index:Machine::x", log, threading.Event())
    for second, text in enumerate(texts, start=1000):
        monkeypatch.setattr("infra.plugin.operation.time.monotonic", lambda second=second: float(second))
        op.status(text)
    assert log.lines == [("status", text) for text in told]
