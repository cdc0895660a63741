"""What an answer of the emulator's has that Azure's hasn't."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.emulator.shapes import SCALARS, Choice, ListOf, MapOf, Object, Scalar, Shape


def faults_of_response(shape: Object, body: Any) -> list[str]:
    """Return what is wrong with an answer: a property that Azure doesn't know, a wrong type. Empty when sound."""
    return list(_faults(shape, body, ""))


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    match shape:
        case Object() if isinstance(value, dict):
            for name, item in value.items():
                if name in shape.fields:
                    yield from _faults(shape.fields[name].shape, item, f"{path}.{name}")
                else:
                    yield f"{path}.{name}: {shape.name} has no such property"
        case MapOf() if isinstance(value, dict):
            for name, item in value.items():
                yield from _faults(shape.value, item, f"{path}.{name}")
        case ListOf() if isinstance(value, list):
            for number, item in enumerate(value):
                yield from _faults(shape.item, item, f"{path}[{number}]")
        case Choice() if value in shape.words:
            pass
        case Scalar() if SCALARS[shape.name](value):
            pass
        case _:
            yield f"{path}: {value!r} is no {shape}"
