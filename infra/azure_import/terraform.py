"""Terraform's JSON: Azure Verified Modules, what azapi makes beside them, and such a module's variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from infra.azure_import.parameters import CLUSTER_OF_TERRAFORM, NETWORK_OF_TERRAFORM, names, resources_of
from infra.azure_import.report import NOT_MISSED, Report
from infra.azure_import.resources import Kind, Resource, arm_resource
from infra.azure_import.things import Thing, nested
from infra.export.module_names import TERRAFORM_CLUSTER, TERRAFORM_NETWORK
from infra.spec.findings import KeyPath

_MODULE: Final = re.compile(r"\$\{module\.([\w-]+)\.[\w.]+\}")
_IN_CONFIGURATION: Final = frozenset(
    {"source", "version", "for_each", "count", "providers", "depends_on", "enable_telemetry"}
)
_NOT_THE_CLUSTERS: Final = frozenset({"resource_group_id", "ssh_key_vault_id"})
_POOLS: Final = ("agent_pool_profiles", "additional_nodepools")


def is_terraform(thing: Thing) -> bool:
    """Tell whether JSON is a configuration with modules, or the variables of one that is known."""
    return thing.get("module") is not None or _variables_of(thing) is not None


def terraform_resources(thing: Thing, report: Report) -> list[Resource] | None:
    """Return the resources that a configuration makes; None where none of its modules is known."""
    if (kind := _variables_of(thing)) is not None:
        return _of_module(thing, kind, {}, report)
    blocks = dict(thing.entries("module"))
    called = {label: name for label, block in blocks.items() if (name := block.text("name")) is not None}
    resources: list[Resource] = []
    for block in blocks.values():
        kind = {TERRAFORM_NETWORK: Kind.NETWORK, TERRAFORM_CLUSTER: Kind.CLUSTER}.get(block.text("source") or "")
        if kind is not None:
            resources += _of_module(block, kind, called, report)
    return [*resources, *_above(thing, called)] if resources else None


def _variables_of(thing: Thing) -> Kind | None:
    """Return what a file of variables alone is about."""
    if thing.get("custom_location_id") is None:
        return None
    if thing.get("logical_network_id") is not None:
        return Kind.CLUSTER
    return Kind.NETWORK if thing.get("address_prefix") is not None else None


def _of_module(block: Thing, kind: Kind, called: dict[str, str], report: Report) -> list[Resource]:
    values: dict[KeyPath, Thing] = {(key,): _taken(value, called) for key, value in block.entries()}
    vlan = values.get(("vlan_id",))
    if vlan is not None and isinstance(vlan.value, str) and vlan.value.isdecimal():
        values["vlan_id",] = Thing(int(vlan.value), vlan.file, vlan.line, vlan.path)
    pools = [pool for key in _POOLS if (listed := values.pop((key,), None)) for pool in listed.items()]
    if pools:
        values[_POOLS[0],] = Thing(list(pools), block.file, pools[0].line, pools[0].path)
    places = NETWORK_OF_TERRAFORM if kind is Kind.NETWORK else CLUSTER_OF_TERRAFORM
    resources, others = resources_of(nested(values, block), places)
    lost = [(name, value) for name, value in others if name not in _IN_CONFIGURATION | _NOT_THE_CLUSTERS]
    if lost:
        what = f"{names(lost)} of the module has no place in the project's files"
        report.say("import-left-out", lost[0][1], what, NOT_MISSED)
    return resources


def _above(thing: Thing, called: dict[str, str]) -> Iterator[Resource]:
    """Yield what azapi makes on clusters."""
    for _, block in thing.entries("resource", "azapi_resource"):
        kind, parent, body = block.text("type"), block.text("parent_id"), block.get("body")
        match = _MODULE.fullmatch(parent or "")
        cluster = called.get(match[1]) if match else None
        if kind is None or cluster is None or body is None:
            continue
        parts: dict[KeyPath, Thing] = {(key,): _taken(value, called) for key, value in body.entries()}
        parts["type",] = Thing(kind.partition("@")[0], block.file, block.line, block.path)
        if (name := block.get("name")) is not None:
            parts["name",] = name
        resource = arm_resource(nested(parts, block))
        if resource is not None:
            yield Resource(resource.kind, resource.name, resource.thing, cluster)


def _taken(value: Thing, called: dict[str, str]) -> Thing:
    """Return a value as Terraform would hand it on: escapes undone, and a module's id as its resource's name."""
    match value.value:
        case dict():
            inner = {key: _taken(value, called) for key, value in value.value.items()}
            return Thing(inner, value.file, value.line, value.path)
        case list():
            return Thing([_taken(value, called) for value in value.value], value.file, value.line, value.path)
        case str():
            match = _MODULE.fullmatch(value.value)
            text = called.get(match[1], value.value) if match else value.value
            text = text.replace("$${", "${").replace("%%{", "%{") if "$${" in text or "%%{" in text else text
            return Thing(text, value.file, value.line, value.path)
    return value
