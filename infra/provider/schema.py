"""The package schema, generated from the contracts: what makes the kinds usable from other languages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infra.model.base import Model
from infra.resources.contract import Contract, OnChange


def package_schema(version: str, contracts: Iterable[Contract]) -> dict[str, Any]:
    """Return Pulumi's package schema of these kinds."""
    types: dict[str, Any] = {}
    resources = {
        contract.token: {
            "description": contract.purpose,
            "inputProperties": _properties(contract.inputs, contract, types),
            "requiredInputs": _required(contract.inputs),
            "properties": _properties(contract.state, contract, types),
            "required": _required(contract.state),
        }
        for contract in contracts
    }
    return {
        "name": "azlocal",
        "version": version,
        "displayName": "azlocal",
        "description": "Machines, networks and images of an Azure Local instance on KVM hosts",
        "license": "Apache-2.0",
        "resources": resources,
        "types": types,
    }


def _properties(model: type[Model], contract: Contract, types: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    for name, definition in schema.get("$defs", {}).items():
        types[f"azlocal:index:{name}"] = {
            "type": "object",
            "properties": {key: _type(value) for key, value in definition["properties"].items()},
            "required": definition.get("required", []),
        }
    properties = {name: _type(value) for name, value in schema["properties"].items()}
    for name, prop in properties.items():
        if name in contract.secrets:
            prop["secret"] = True
        if name in contract.properties and contract.properties[name].on_change is OnChange.REPLACE:
            prop["replaceOnChanges"] = True
    return properties


def _required(model: type[Model]) -> list[str]:
    required: list[str] = model.model_json_schema(by_alias=True).get("required", [])
    return required


def _type(value: dict[str, Any]) -> dict[str, Any]:
    """Translate one JSON-schema property into Pulumi's dialect, which has no unions with null."""
    described = {"description": value["description"]} if "description" in value else {}
    for option in value.get("anyOf", []):
        if option.get("type") != "null":
            return _type(option) | described
    if "$ref" in value:
        return {"$ref": f"#/types/azlocal:index:{value['$ref'].rsplit('/', 1)[-1]}"} | described
    if value.get("type") == "array":
        return {"type": "array", "items": _type(value["items"])} | described
    if value.get("type") == "object":
        return {"type": "object", "additionalProperties": {"type": "string"}} | described
    return {"type": value.get("type", "string")} | described
