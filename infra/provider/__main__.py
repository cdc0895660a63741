"""The plugin process: `pulumi-resource-azlocal [engine address]`, started by the Pulumi engine."""

from __future__ import annotations

import sys

from infra import __version__
from infra.plugin.engine import GrpcEngineLog
from infra.plugin.process import serve
from infra.provider.kinds import all_kinds
from infra.provider.servicer import Servicer

if __name__ == "__main__":
    serve(lambda log: Servicer(__version__, all_kinds(), GrpcEngineLog, log), sys.argv[1:])
