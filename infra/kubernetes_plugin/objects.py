"""API objects between the engine's state and the API server: shapes, names, annotations. Pure.

State is laid out as the official plugin does it: the live object, and beside it `__inputs`,
`__initialApiVersion` and `__fieldManager`.
"""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.plugin.values import Path

INPUTS: Final = "__inputs"
INITIAL_API_VERSION: Final = "__initialApiVersion"
FIELD_MANAGER: Final = "__fieldManager"
_OURS: Final = (INPUTS, INITIAL_API_VERSION, FIELD_MANAGER)

AUTONAMED: Final = "pulumi.com/autonamed"
SKIP_AWAIT: Final = "pulumi.com/skipAwait"
WAIT_FOR: Final = "pulumi.com/waitFor"
TIMEOUT: Final = "pulumi.com/timeoutSeconds"
PATCH_FORCE: Final = "pulumi.com/patchForce"
PATCH_MANAGER: Final = "pulumi.com/patchFieldManager"
PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"

# What the API server fills in. In inputs it is noise, and in a preview it isn't known.
SERVER_SET: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_SCHEMA_PREFIX: Final = "x-kubernetes-"  # not a property name in Pulumi's SDKs, which write underscores


def to_wire(value: Any) -> Any:
    """Return an API object's value with the property names that the SDK uses."""
    return _rename(value, _SCHEMA_PREFIX, "-", "_")


def from_wire(value: Any) -> Any:
    """Return a value with the API server's own property names; a copy."""
    return _rename(value, _SCHEMA_PREFIX.replace("-", "_"), "_", "-")


def _rename(value: Any, prefix: str, old: str, new: str) -> Any:
    if isinstance(value, Mapping):
        return {
            (key.replace(old, new) if key.startswith(prefix) else key): _rename(item, prefix, old, new)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_rename(item, prefix, old, new) for item in value]
    return value


def wire_paths(paths: Iterable[Path]) -> frozenset[Path]:
    """Return paths with the API server's own property names."""
    prefix = _SCHEMA_PREFIX.replace("-", "_")
    return frozenset(
        tuple(s.replace("_", "-") if isinstance(s, str) and s.startswith(prefix) else s for s in path)
        for path in paths
    )


def metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object's metadata, empty where it has none or isn't known."""
    value = obj.get("metadata")
    return value if isinstance(value, Mapping) else {}


def annotation(obj: Mapping[str, Any], name: str) -> str:
    """Return an annotation's value, empty where it isn't set."""
    texts = metadata(obj).get("annotations")
    value = texts.get(name) if isinstance(texts, Mapping) else None
    return str(value) if value is not None else ""


def is_true(obj: Mapping[str, Any], name: str) -> bool:
    """Return whether an annotation says "true"."""
    return annotation(obj, name) == "true"


def with_metadata(obj: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """Return the object with metadata set."""
    return {**obj, "metadata": {**metadata(obj), **values}}


def with_annotation(obj: Mapping[str, Any], name: str, value: str) -> dict[str, Any]:
    """Return the object with one annotation set."""
    known = metadata(obj).get("annotations")
    return with_metadata(obj, annotations={**(known if isinstance(known, Mapping) else {}), name: value})


def unique_name(prefix: str, seed: bytes, urn: str) -> str:
    """Return a name that stays the same for one seed of the engine's (a new one comes with each replacement)."""
    return f"{prefix}{hashlib.sha256(seed + urn.encode()).hexdigest()[:8]}"


def default_field_manager(urn: str) -> str:
    """Return the field manager of a resource that names none: one a resource, so that two conflict visibly."""
    return unique_name("pulumi-kubernetes-", b"", urn)


def cleaned(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs without what only the API server sets, and without nulls, which mean absent."""
    plain: dict[str, Any] = _without_nulls(inputs)
    if isinstance(plain.get("metadata"), dict):
        plain["metadata"] = {k: v for k, v in plain["metadata"].items() if k not in SERVER_SET}
    return plain


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def imported_inputs(live: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a program would have to say to get the object that stands."""
    inputs = cleaned({key: value for key, value in live.items() if key != "status"})
    annotations = inputs["metadata"].get("annotations")
    if annotations is not None:
        inputs["metadata"]["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
        if not inputs["metadata"]["annotations"]:
            del inputs["metadata"]["annotations"]
    return inputs


def carry_drift(inputs: Any, seen: Any, live: Any) -> Any:
    """Return the inputs with what changed on the server since it was last seen, and nothing else.

    The API server writes some values in another form than the program did ("1024Mi" as "1Gi"). Where it still
    has what it had, the program's form stays, so that only real changes show.

    Args:
        inputs: what the program said.
        seen: the object as state has it.
        live: the object as it stands.
    """
    if live == seen:
        return inputs
    if isinstance(inputs, Mapping) and isinstance(live, Mapping):
        before = seen if isinstance(seen, Mapping) else {}
        return {
            key: carry_drift(item, before.get(key), live.get(key))
            for key, item in inputs.items()
            if key in live or key not in before
        }
    if isinstance(inputs, list) and isinstance(live, list):
        old = seen if isinstance(seen, list) else []
        return [
            carry_drift(inputs[i], old[i] if i < len(old) else None, item) if i < len(inputs) else item
            for i, item in enumerate(live)
        ]
    return live


def comparable(live: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the live object with a Secret's `stringData` as the inputs have it: the server only keeps `data`."""
    texts = inputs.get("stringData")
    if live.get("kind") != "Secret" or not isinstance(texts, Mapping):
        return dict(live)
    data = live.get("data") or {}
    shown = {key: base64.b64decode(data[key]).decode(errors="replace") for key in texts if key in data}
    return {**live, "stringData": shown}


def checkpoint(
    live: Mapping[str, Any], inputs: Mapping[str, Any], initial_api_version: str, field_manager: str
) -> dict[str, Any]:
    """Return the state of an object: what stands, and what was asked for.

    Who manages which field is left out: it is larger than the object, and changes without it.
    """
    standing = copy.deepcopy(dict(live))
    if "metadata" in standing:
        standing["metadata"].pop("managedFields", None)
    state: dict[str, Any] = to_wire(standing)
    return state | {
        INPUTS: to_wire(inputs),
        INITIAL_API_VERSION: initial_api_version,
        FIELD_MANAGER: field_manager,
    }


def parse_checkpoint(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inputs and the live object that state has."""
    live = {key: value for key, value in state.items() if key not in _OURS}
    return from_wire(state.get(INPUTS) or {}), from_wire(live)


def secret_paths(state: Mapping[str, Any], inputs: Iterable[Path]) -> frozenset[Path]:
    """Return the places in a state that are secret because those inputs are.

    A place that the server moved or renamed makes what it was in secret.
    """
    paths: set[Path] = set()
    for path in inputs:
        paths.add(deepest(state, path))
        paths.add((INPUTS, *deepest(state.get(INPUTS) or {}, path)))
    if state.get("kind") == "Secret" and state.get("apiVersion") == "v1":
        paths |= {(name,) for name in ("data", "stringData") if name in state}
        paths |= {(INPUTS, name) for name in ("data", "stringData") if name in (state.get(INPUTS) or {})}
    return frozenset(path for path in paths if path and path != (INPUTS,))


def deepest(value: Any, path: Path) -> Path:
    """Return as much of a path as exists in a value."""
    for length, step in enumerate(path):
        inside = step < len(value) if isinstance(value, list) and isinstance(step, int) else None
        if not (inside if inside is not None else isinstance(value, Mapping) and step in value):
            return path[:length]
        value = value[step]
    return path


def manages(live: Mapping[str, Any], manager: str) -> bool:
    """Return whether a field manager applied what stands: left by an interrupted run of the same resource."""
    return any(
        entry.get("manager") == manager and entry.get("operation") == "Apply"
        for entry in metadata(live).get("managedFields") or []
    )


def value_at(value: Any, path: Path) -> Any:
    """Return the value at a path that exists."""
    for step in path:
        value = value[step]
    return value


def replace(obj: dict[str, Any], path: Path, value: Any) -> None:
    """Set the value at a path that exists, in place."""
    value_at(obj, path[:-1])[path[-1]] = value
