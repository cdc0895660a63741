"""JSON schemas of the input files, so that editors complete and check them while people type."""

import re
from typing import Any

from infra.spec.hosts import HostsFile
from infra.spec.loader import NAMESPACE
from infra.spec.netplan import Netplan
from infra.spec.stack import StackConfig
from infra.spec.target import Target
from infra.spec.types import Model

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return each schema by the name of its file under schemas/."""
    return {
        "hosts.schema.json": _schema(HostsFile, "hosts/<site>.yaml: the physical nodes and extra VM sizes"),
        "netplan.schema.json": _schema(Netplan, "netplans/<site>.yaml: networks, pools, reservations"),
        "stack.schema.json": _stack_schema(),
        "target.schema.json": _schema(Target, "targets/<site>.yaml: the Azure Local to carry plans over to"),
    }


def _schema(model: type[Model], title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, **tidy(model.model_json_schema(by_alias=True)), "title": title}


def _stack_schema() -> dict[str, Any]:
    """Return the schema of Pulumi.<stack>.yaml: our keys are ours, everything else is Pulumi's."""
    ours = tidy(StackConfig.model_json_schema(by_alias=True))
    names = "|".join(re.escape(name) for name in ours["properties"])
    config = {
        "type": "object",
        "properties": {NAMESPACE + name: value for name, value in ours["properties"].items()},
        "required": [NAMESPACE + name for name in ours["required"]],
        "patternProperties": {f"^{NAMESPACE}(?!({names})$)": False},
    }
    return {
        "$schema": DIALECT,
        "title": "Pulumi.<stack>.yaml: an instance, its site and its clusters",
        "type": "object",
        "properties": {"config": config},
        "required": ["config"],
        "$defs": ours["$defs"],
    }


def tidy(schema: Any) -> Any:
    """Drop the titles that pydantic makes of the keys (`Ostype`), and refuse keys that haven't their form.

    Pydantic says of a mapping whose keys have a pattern only what holds for the keys that match it.
    """
    if isinstance(schema, list):
        return [tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {key: tidy(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    if isinstance(tidied.get("patternProperties"), dict) and "properties" not in tidied:
        ((pattern, value),) = tidied.pop("patternProperties").items()
        tidied["propertyNames"] = {**tidied.get("propertyNames", {}), "pattern": pattern}
        tidied["additionalProperties"] = value
    return tidied
