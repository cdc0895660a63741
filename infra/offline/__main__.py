"""The plugin process: `pulumi-resource-kubernetes [engine address]`, started by the Pulumi engine."""

from __future__ import annotations

import sys
from importlib.metadata import version

from infra.offline.servicer import KubernetesServicer
from infra.provider.engine import GrpcEngineLog
from infra.provider.process import serve_plugin

if __name__ == "__main__":
    # The version is that of the SDK whose documentation it follows: the engine compares the two.
    serve_plugin(lambda log: KubernetesServicer(version("pulumi-kubernetes"), GrpcEngineLog, log), sys.argv[1:])
