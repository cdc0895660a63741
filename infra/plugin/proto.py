"""The messages of Pulumi's protocol, without Pulumi's SDK.

They are modules of the SDK, and importing one as `pulumi.runtime.proto.…` first runs `pulumi/__init__`: the
program's side, with its automation, its serializer of functions and its tracing. No plugin uses any of that, and
it is half of what a plugin process takes to start. So the folder that has the messages is searched under this
module's own name. The classes are those of the SDK, if that is imported as well.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.runtime.proto import (
        engine_pb2,
        engine_pb2_grpc,
        language_pb2,
        language_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
        status_pb2,
    )
else:
    _sdk = importlib.util.find_spec("pulumi")  # finds the package, runs nothing of it
    # With a path to search, this module is a package: `from infra.plugin.proto import …` imports from there.
    __path__ = [str(Path(folder) / "runtime" / "proto") for folder in _sdk.submodule_search_locations]

__all__ = [
    "engine_pb2",
    "engine_pb2_grpc",
    "language_pb2",
    "language_pb2_grpc",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "status_pb2",
]
