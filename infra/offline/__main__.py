"""The plugin process: `pulumi-resource-kubernetes [engine address]`, started by the Pulumi engine."""

from __future__ import annotations

import sys

from infra.offline.sdk import sdk_version
from infra.offline.servicer import KubernetesServicer
from infra.provider.engine import GrpcEngineLog
from infra.provider.process import serve_plugin

if __name__ == "__main__":
    serve_plugin(lambda log: KubernetesServicer(sdk_version(), GrpcEngineLog, log), sys.argv[1:])
