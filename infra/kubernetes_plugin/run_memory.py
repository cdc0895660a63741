"""What one run has seen of its resources: enough to tell an interrupted run's leftovers from a replacement.

The engine asks a provider to create a replacement before it deletes the original. Where both have one name, taking
the original for a leftover and then deleting it would destroy what was just taken over.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RunMemory:
    """Lives as long as the plugin's process, which is a run of the engine."""

    _in_state: set[str] = field(default_factory=set)
    _made: set[tuple[str, str]] = field(default_factory=set)

    def saw_in_state(self, urn: str) -> None:
        """Note that state has the resource, so that an object of its name is no leftover."""
        self._in_state.add(urn)

    def may_adopt(self, urn: str) -> bool:
        """Return whether what stands under the resource's mark can only be an interrupted run's."""
        return urn not in self._in_state

    def made(self, urn: str, identity: str) -> None:
        """Note that this run made, or took over, an object for the resource."""
        self._made.add((urn, identity))

    def was_made(self, urn: str, identity: str) -> bool:
        """Return whether this run made that object: it is the replacement, not the original."""
        return (urn, identity) in self._made
