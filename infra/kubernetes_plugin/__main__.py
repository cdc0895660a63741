"""The plugin process: `pulumi-resource-kubernetes [engine address]`, started by the Pulumi engine."""

from __future__ import annotations

import sys

from infra.kubernetes_plugin.sdk import sdk_version
from infra.kubernetes_plugin.servicer import KubernetesServicer
from infra.plugin.engine import GrpcEngineLog
from infra.plugin.process import serve

if __name__ == "__main__":
    serve(lambda log: KubernetesServicer(sdk_version(), GrpcEngineLog, log), sys.argv[1:])
