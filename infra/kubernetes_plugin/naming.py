"""Names for resources that name none. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.kubernetes_plugin.objects import unique_name
from infra.kubernetes_plugin.types import name_of


@dataclass(frozen=True)
class Naming:
    """How the engine wants a resource named.

    Attributes:
        urn: of the resource; its name becomes the prefix.
        seed: random, the same in the preview and in the run that follows.
        proposed: the engine's own choice, where autonaming is configured.
        refused: autonaming is switched off.
    """

    urn: str
    seed: bytes = b""
    proposed: str = ""
    refused: bool = False

    @classmethod
    def of(cls, request: Any) -> Naming:
        """Read it from a CheckRequest."""
        options = request.autonaming if request.HasField("autonaming") else None
        disabled = options is not None and options.mode == options.Mode.DISABLE
        return cls(request.urn, request.randomSeed, options.proposed_name if options else "", disabled)

    def name(self) -> str:
        """Return the name."""
        return self.proposed or unique_name(f"{name_of(self.urn)}-", self.seed, self.urn)
