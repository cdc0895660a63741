"""The plugin process: `pulumi-resource-kubernetes [engine address]`, started by the Pulumi engine."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

from infra.offline.servicer import KubernetesServicer
from infra.provider.engine import GrpcEngineLog
from infra.provider.process import serve_plugin


def sdk_version() -> str:
    """Return the version of the SDK whose documentation this follows: the engine compares the two."""
    found = importlib.util.find_spec("pulumi_kubernetes")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pulumi_kubernetes isn't installed; run `make setup`")
    return str(json.loads(Path(found.origin).with_name("pulumi-plugin.json").read_text())["version"])


if __name__ == "__main__":
    serve_plugin(lambda log: KubernetesServicer(sdk_version(), GrpcEngineLog, log), sys.argv[1:])
