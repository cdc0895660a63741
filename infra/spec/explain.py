"""Turn pydantic's errors into findings: the rule, the value, the place in the file, the remedy."""

import types
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from infra.spec.findings import Finding, KeyPath, shown, shown_key
from infra.spec.tree import Document
from infra.spec.types import Sensitive

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def explain(errors: Iterable[ErrorDetails], model: type[BaseModel], document: Document) -> list[Finding]:
    """Return a finding for each error, in the order of the file."""
    found = []
    for error in errors:
        path = _real_path(error["loc"], document)
        rule, message, remedy = _describe(error, model)
        line = document.line(path) or 0
        found.append((line, Finding(rule, "error", document.where(path), message, remedy)))
    return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]


def _real_path(loc: tuple[str | int, ...], document: Document) -> KeyPath:
    """Drop what pydantic adds to a location: `[key]` stands for a mapping's key itself."""
    return loc[:-1] if loc and loc[-1] == "[key]" and not _is_in(loc, document) else loc


def _is_in(path: KeyPath, document: Document) -> bool:
    node = document.root
    for part in path:
        node = node.children.get(part) if node else None
    return node is not None


def _describe(error: ErrorDetails, model: type[BaseModel]) -> tuple[str, str, str]:
    context: Mapping[str, Any] = error.get("ctx") or {}
    kind, value = error["type"], error["input"]
    said = "what isn't repeated here" if _is_sensitive(model, error["loc"]) else shown(value)
    if "remedy" in context:
        return kind, str(context["message"]), str(context["remedy"])
    if kind == "extra_forbidden":
        return _unknown_key(str(error["loc"][-1]), keys_at(model, error["loc"][:-1]))
    if kind == "missing":
        return "missing-key", f"the key '{error['loc'][-1]}' is missing", "add it"
    if kind in _EXPECTED:
        return _wrong_type(_EXPECTED[kind], value, said)
    if kind == "literal_error":
        allowed = str(context.get("expected"))
        return "wrong-value", f"{said} is not one of {allowed}", f"write {allowed}"
    return "wrong-value", f"{said}: {error['msg']}", "correct the value"


def _wrong_type(expected: str, value: object, said: str) -> tuple[str, str, str]:
    remedy = f"write {expected}"
    if expected == "text" and isinstance(value, bool | int | float):
        remedy = "put it in quotes"
    elif expected == "a whole number" and isinstance(value, str):
        remedy = "write a decimal number without quotes"
    return "wrong-type", f"expected {expected}, found {said}", remedy


def _unknown_key(key: str, known: list[str]) -> tuple[str, str, str]:
    lowered = {name.lower(): name for name in known}
    near = get_close_matches(key.lower(), lowered, n=1, cutoff=0.6)
    hint = f"did you mean '{lowered[near[0]]}'? " if near else ""
    choice = ", ".join(sorted(known)) or "none"
    return "unknown-key", f"the key '{shown_key(key)}' is unknown", f"{hint}keys here: {choice}"


def _is_sensitive(model: type[BaseModel], path: KeyPath) -> bool:
    """Return whether a place lies at or below a key that may hold a password."""
    annotation: Any = model
    for part in path:
        field = _fields(annotation).get(str(part))
        if field is not None and any(isinstance(one, Sensitive) for one in field.metadata):
            return True
        annotation = _step(annotation, part)
    return False


def keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys that the model takes at a place."""
    annotation: Any = model
    for part in path:
        annotation = _step(annotation, part)
    return list(_fields(annotation))


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """Return the fields of a model by their keys; none where it isn't one."""
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return {field.alias or name: field for name, field in bare.model_fields.items()}
    return {}


def _step(annotation: Any, part: str | int) -> Any:
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        fields = _fields(bare)
        return fields[str(part)].annotation if part in fields else None
    arguments = get_args(bare)
    if get_origin(bare) is dict:
        return arguments[1]
    return arguments[0] if arguments else None


def _bare(annotation: Any) -> Any:
    """Strip Annotated and Optional."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, types.UnionType}:
            annotation = next(one for one in get_args(annotation) if one is not type(None))
        else:
            return annotation
