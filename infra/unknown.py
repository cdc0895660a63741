"""The value that nobody knows before `up`."""

from typing import Final

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The wire form of a value that is not known yet (pulumi.runtime.rpc.UNKNOWN)."""
