"""The shapes of ARM's bodies, read from the models of the installed azure-mgmt packages.

Those are generated from Azure's published OpenAPI documents, so what a client may send and what an answer may have
is what Azure says, not what we remember of it. Two generations of generated models are read: those with
`rest_field`s, and the older ones with an `_attribute_map`.
"""

from __future__ import annotations

import datetime
import enum
import importlib
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from infra.emulator.http import JSON, Refusal

# Says whether a value is of a scalar type.
SCALARS: Final[dict[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "time": lambda value: isinstance(value, str) and _is_time(value),
    "any": lambda _value: True,
}
_PYTHON: Final = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    datetime.datetime: "time",
    datetime.timedelta: "string",
    bytes: "string",
}
_MSREST: Final = {
    "str": "string",
    "bool": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "iso-8601": "time",
    "duration": "string",
    "object": "any",
}


@dataclass(frozen=True)
class Scalar:
    """A string, number, truth value or time; `any` is anything."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of Azure's known words; their case doesn't matter."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class ListOf:
    """A JSON array."""

    item: Shape


@dataclass(frozen=True)
class MapOf:
    """A JSON object whose names are the user's."""

    value: Shape


@dataclass(frozen=True)
class Field:
    """A property of an object."""

    shape: Shape
    read_only: bool = False
    required: bool = False


@dataclass(frozen=True)
class Object:
    """A JSON object with known properties, by wire name."""

    name: str
    fields: Mapping[str, Field]

    def extended(self, **fields: Shape) -> Object:
        """Return it with more properties; an object given for one that is there extends that one."""
        merged = dict(self.fields)
        for name, shape in fields.items():
            known = merged.get(name)
            if known is not None and isinstance(known.shape, Object) and isinstance(shape, Object):
                inner = known.shape.extended(**{each: field.shape for each, field in shape.fields.items()})
                merged[name] = Field(inner, known.read_only, known.required)
            else:
                merged[name] = Field(shape)
        return Object(self.name, merged)


Shape = Scalar | Choice | ListOf | MapOf | Object
ANY: Final = Scalar("any")
STRING: Final = Scalar("string")


@cache
def shape_of(module: str, model: str) -> Object:
    """Return the shape of a model, such as (`azure.mgmt.hybridkubernetes.models`, `ConnectedCluster`)."""
    models = importlib.import_module(module)
    shape = _of_class(getattr(models, model), models)
    if not isinstance(shape, Object):
        raise TypeError(f"{module}.{model} is no object")
    return shape


def check_request(shape: Object, body: JSON) -> JSON:
    """Return a request's body without what only Azure writes.

    Names are taken in any case, as Azure's services do, and returned as Azure spells them.

    Raises:
        Refusal: something is missing, of the wrong type, not one of the known words, or unknown (400
            InvalidRequestContent, naming the property).
    """
    cleaned: JSON = _clean(shape, body, "")
    return cleaned


def _clean(shape: Shape, value: Any, path: str) -> Any:
    match shape:
        case Object():
            return _clean_object(shape, value, path)
        case ListOf():
            if not isinstance(value, list):
                raise _wrong(path, value, "an array")
            return [_clean(shape.item, item, f"{path}[{number}]") for number, item in enumerate(value)]
        case MapOf():
            if not isinstance(value, dict):
                raise _wrong(path, value, "an object")
            return {
                name: None if item is None else _clean(shape.value, item, f"{path}.{name}")
                for name, item in value.items()
            }
        case Choice():
            for word in shape.words:
                if isinstance(value, str) and word.lower() == value.lower():
                    return word
            raise _wrong(path, value, f"one of {', '.join(shape.words)}")
        case Scalar():
            if not SCALARS[shape.name](value):
                raise _wrong(path, value, f"a {shape.name}")
            return value


def _clean_object(shape: Object, value: Any, path: str) -> JSON:
    if not isinstance(value, dict):
        raise _wrong(path, value, "an object")
    spelled = {name.lower(): name for name in shape.fields}
    cleaned: JSON = {}
    for member, content in value.items():
        name, where = spelled.get(member.lower()), f"{path}.{member}".lstrip(".")
        if name is None:
            raise _invalid(f"Could not find member '{member}' on object of type '{shape.name}'. Path '{where}'.")
        known = shape.fields[name]
        if not known.read_only and content is not None:
            cleaned[name] = _clean(known.shape, content, where)
        elif not known.read_only and not known.required:
            cleaned[name] = None
    for name, known in shape.fields.items():
        if known.required and not known.read_only and name not in cleaned:
            where = f"{path}.{name}".lstrip(".")
            raise _invalid(f"Required property '{name}' not found in JSON. Path '{where}'.")
    return cleaned


def _wrong(path: str, value: Any, wanted: str) -> Refusal:
    # Never the value itself: it can be a secret.
    json_type = {dict: "an object", list: "an array", type(None): "null"}.get(type(value), type(value).__name__)
    return _invalid(f"Error converting value of type {json_type}: {wanted} is required. Path '{path}'.")


def _invalid(message: str) -> Refusal:
    return Refusal(
        400,
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized: '{message}'.",
    )


def _is_time(value: str) -> bool:
    return re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value) is not None


def _of_class(model: type[Any], models: types.ModuleType, outer: tuple[type[Any], ...] = ()) -> Shape:
    """Read a model. One that contains itself, as Azure's errors do, is taken as anything at its inner place."""
    if model in outer:
        return ANY
    inside = (*outer, model)
    if hasattr(model, "_attribute_map"):
        return _of_msrest(model, models, inside)
    hints: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        if base.__module__ == model.__module__:
            hints |= typing.get_type_hints(base, localns={"_models": models})
    fields = {}
    for base in reversed(model.__mro__):
        for attribute, rest_field in vars(base).items():
            if type(rest_field).__name__ != "_RestField":
                continue
            wire = rest_field._rest_name_input or attribute
            read_only = rest_field._visibility == ["read"]
            hint = hints[attribute]
            is_optional = type(None) in typing.get_args(hint)
            fields[wire] = Field(_of_hint(hint, models, inside), read_only, not is_optional and not read_only)
    return Object(model.__name__, fields)


def _of_hint(hint: Any, models: types.ModuleType, inside: tuple[type[Any], ...]) -> Shape:
    arguments = [argument for argument in typing.get_args(hint) if argument is not type(None)]
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        words = [
            argument for argument in arguments if isinstance(argument, type) and issubclass(argument, enum.Enum)
        ]
        return (
            Choice(tuple(str(word.value) for word in words[0]))
            if words
            else _of_hint(arguments[0], models, inside)
        )
    if origin is list:
        return ListOf(_of_hint(arguments[0], models, inside))
    if origin is dict:
        return MapOf(_of_hint(arguments[1], models, inside))
    if hint in _PYTHON:
        return Scalar(_PYTHON[hint])
    if isinstance(hint, type) and hint.__module__.startswith(models.__name__):
        return _of_class(hint, models, inside)
    return ANY


def _of_msrest(model: Any, models: types.ModuleType, inside: tuple[type[Any], ...]) -> Object:
    """Read an older model, whose attributes can stand for properties of an inner object: `properties.hostType`."""
    fields: dict[str, Field] = {}
    inner: dict[str, dict[str, Field]] = {}
    for attribute, described in model._attribute_map.items():
        rules = model._validation.get(attribute, {})
        shape = _of_msrest_type(described["type"], models, inside)
        field = Field(shape, bool(rules.get("readonly")), bool(rules.get("required")))
        outer, _, name = described["key"].partition(".")
        if name:
            inner.setdefault(outer, {})[name] = field
        else:
            fields[outer] = field
    for outer, its in inner.items():
        fields[outer] = Field(Object(f"{model.__name__}.{outer}", its))
    return Object(model.__name__, fields)


def _of_msrest_type(name: str, models: types.ModuleType, inside: tuple[type[Any], ...]) -> Shape:
    if name.startswith("["):
        return ListOf(_of_msrest_type(name[1:-1], models, inside))
    if name.startswith("{"):
        return MapOf(_of_msrest_type(name[1:-1], models, inside))
    if name in _MSREST:
        return Scalar(_MSREST[name])
    return _of_class(getattr(models, name), models, inside)
