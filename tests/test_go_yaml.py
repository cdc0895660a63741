"""What Go's YAML readers would take for numbers and truth values stays text; all else is written as it was."""

from __future__ import annotations

import pytest
import yaml

from infra.go_yaml import go_yaml

TEXTS = ["y", "N", "1e3", "1e-3", "5.", ".5e1", "0o17", "0xff", "0b1", "1_000", "no", "null", "1.5", "2026-11-29"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    written = go_yaml({"value": text})
    assert written == f"value: '{text}'\n"
    assert yaml.safe_load(written) == {"value": text}


def test_all_else_is_written_as_python_does() -> None:
    content = {
        "version": "v1.34.4",
        "name": "lab-a-cp-0",
        "address": "10.0.0.18",
        "subnet": "10.244.0.0/16",
        "period": "2h0m0s",
        "numbers": [1, 2.5, 0],
        "is": True,
        "nothing": None,
        "digest": "sha256:abc",
        "sign": "-",
    }
    assert go_yaml(content, {"second": {}}) == yaml.safe_dump_all([content, {"second": {}}], sort_keys=False)
