"""The base of values that go over the wire to and from the engine."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Base of all inputs and outputs: snake_case here, camelCase on the wire, unknown keys refused.

    A validator is built when it is first needed: the program needs none, a plugin those of the kinds it serves.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=False,
        defer_build=True,
        hide_input_in_errors=True,  # an input may be a secret
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the properties as plain JSON-like data under their wire names."""
        return self.model_dump(mode="json", by_alias=True)
