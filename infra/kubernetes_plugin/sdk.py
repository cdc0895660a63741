"""Which of the official package's SDKs the stand-in follows."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path


def sdk_version() -> str:
    """Return the version of the SDK whose documentation this follows: the engine compares the two."""
    spec = importlib.util.find_spec("pulumi_kubernetes")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pulumi_kubernetes isn't installed; run `make setup`")
    return str(json.loads(Path(spec.origin).with_name("pulumi-plugin.json").read_text())["version"])
