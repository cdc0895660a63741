"""The plugin process: `pulumi-resource-azlocal [engine address]`, started by the Pulumi engine."""

from __future__ import annotations

import sys

from infra.provider.kinds import all_kinds
from infra.provider.process import serve

if __name__ == "__main__":
    serve(all_kinds(), sys.argv[1:])
