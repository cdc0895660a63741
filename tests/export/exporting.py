"""Exports for tests, and what upstream says of its parameters (data/: names, types, which are required)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from infra.export.facts import ExportFacts, Format
from infra.plan.addresses import Lock, next_lock
from infra.plan.instance import plan_instance
from infra.plan.locks import Locks
from infra.spec import InstanceSpec
from infra.spec.target import Target
from infra.spec.tree import parse_document

DATA = Path(__file__).parent / "data"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdvbGRlbmdvbGRlbmdvbGRlbmdvbGRlbmdvbGRlbmdv golden"
_SUBSCRIPTION = "00000000-0000-0000-0000-000000000007"
TARGET: dict[str, Any] = {
    "subscriptionId": _SUBSCRIPTION,
    "tenantId": "00000000-0000-0000-0000-000000000008",
    "resourceGroup": "rg",
    "customLocationResourceId": f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rg"
    "/providers/Microsoft.ExtendedLocation/customLocations/cl",
    "vmSwitchName": "ConvergedSwitch(compute)",
    "sshPublicKey": KEY,
    "adminGroupObjectIDs": ["00000000-0000-0000-0000-000000000009"],
    "k8sRuntimeFpaObjectId": "00000000-0000-0000-0000-00000000000a",
    "kubernetesVersion": "1.33.5",
    "instance": {
        "clusterName": "site-1",
        "keyVaultName": "kv-1",
        "diagnosticStorageAccountName": "diagnostics",
        "witnessStorageAccountName": "witness",
        "resourceProviderObjectId": "00000000-0000-0000-0000-00000000000b",
        "localAdminUserName": "admin",
        "deploymentUserName": "deployer",
        "networkIntents": [{"name": "compute", "trafficTypes": ["Management", "Compute"], "adapters": ["a", "b"]}],
        "storageNetworks": [{"name": "s1", "adapter": "c", "vlan": 711}],
    },
}


def facts_of(
    spec: InstanceSpec,
    to: Format | str,
    *,
    lock: Lock | None = None,
    keys: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    **target: Any,
) -> ExportFacts:
    """Return what an export of an instance is made of.

    Args:
        spec: The instance.
        to: The format.
        lock: What the lock file holds; absent: all that a first plan gives out.
        keys: The stack's own SSH keys.
        without: Keys of TARGET that the target hasn't.
        target: Its other keys.
    """
    if lock is None:
        lock = next_lock(plan_instance(spec).addresses, Lock())
    content = {key: value for key, value in {**TARGET, **target}.items() if key not in without}
    document = parse_document(json.dumps(content, indent=1), "targets/s.yaml")
    plan = plan_instance(spec, Locks(addresses=lock))
    return ExportFacts(spec, plan, lock, Target.model_validate(content), document, Format(to), keys)


@cache
def recorded(name: str) -> Any:
    """Return what is recorded of upstream."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def bicep_faults(values: Any, expected: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Yield what a Bicep module would say of a value."""
    kinds: dict[str, Any] = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}
    if not isinstance(values, kinds[expected["type"]]) or (expected["type"] == "int" and isinstance(values, bool)):
        yield f"{where} is no {expected['type']}: {values!r}"
        return
    if values not in expected.get("allowed", [values]):
        yield f"{where} is none of {expected['allowed']}: {values!r}"
    if "most" in expected and len(values) > expected["most"]:
        yield f"{where} has more than {expected['most']}"
    for number, item in enumerate(values if "items" in expected else ()):
        yield from bicep_faults(item, expected["items"], f"{where}[{number}]")
    if "properties" in expected:
        yield from parameter_faults(values, expected["properties"], f"{where}.")


def parameter_faults(values: Mapping[str, Any], parameters: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Yield unknown names, missing ones, and values of another type."""
    for name, expected in parameters.items():
        if expected["required"] and name not in values:
            yield f"{where}{name} is missing"
    for name, value in values.items():
        if name not in parameters:
            yield f"there is no {where}{name}"
        else:
            yield from bicep_faults(value, parameters[name], f"{where}{name}")


def terraform_faults(value: Any, expected: Any, where: str = "") -> Iterator[str]:
    """Yield what Terraform would say of a value that is to have a type."""
    if isinstance(expected, str):
        kind: Any = {"string": str, "number": int, "bool": bool, "any": object}[expected]
        if not isinstance(value, kind) or (expected == "number" and isinstance(value, bool)):
            yield f"{where} is no {expected}: {value!r}"
        return
    ((kind, inner),) = expected.items()
    if kind == "object":
        yield from variable_faults(value, inner, f"{where}.")
    else:
        items = value.items() if kind == "map" else enumerate(value)
        for key, item in items:
            yield from terraform_faults(item, inner, f"{where}[{key}]")


def variable_faults(values: Mapping[str, Any], variables: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Yield unknown names, missing ones, and values of another type."""
    for name, expected in variables.items():
        if expected["required"] and name not in values:
            yield f"{where}{name} is missing"
    for name, value in values.items():
        if name not in variables:
            yield f"there is no {where}{name}"
        else:
            yield from terraform_faults(value, variables[name]["type"], f"{where}{name}")
