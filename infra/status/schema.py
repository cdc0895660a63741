"""The JSON schema of what `azlocal status --format json` says."""

from __future__ import annotations

from typing import Any

from infra.spec.schema import DIALECT, tidy
from infra.status.model import Status


def status_schema() -> dict[str, Any]:
    """Return it; every property is always there."""
    schema = tidy(Status.model_json_schema(by_alias=True, mode="serialization"))
    return {"$schema": DIALECT, **schema, "title": "azlocal status --format json: how an instance is"}
