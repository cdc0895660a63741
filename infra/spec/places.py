"""What a model says of a place in its file: the keys, the bounds and the form of a value, whether it is secret."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.spec.findings import KeyPath
from infra.spec.forms import Example, Form, Refused
from infra.spec.types import Sensitive


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a number, or the form of a text.

    Attributes:
        low: The least value; None where there is none.
        high: The greatest value; None where there is none.
        form: The form of a text.
        example: One of a text that has none.
        refused: Choices that a rule refuses all the same.
    """

    low: int | None = None
    high: int | None = None
    form: Form | None = None
    example: str | None = None
    refused: tuple[str, ...] = ()

    def holds(self, value: int) -> bool:
        """Tell whether a number keeps within the bounds."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def words(self) -> str:
        """Return the bounds as people say them: `1 to 64`, `1 or more`."""
        if self.low is not None and self.high is not None:
            return f"{self.low} to {self.high}"
        return f"{self.low} or more" if self.high is None else f"{self.high} or less"


def limits_at(model: type[BaseModel], path: KeyPath) -> Limits:
    """Return what the model says of the value at a place, whether it refuses others itself or a rule does."""
    low: int | None = None
    high: int | None = None
    form: Form | None = None
    example: str | None = None
    refused: tuple[str, ...] = ()
    for annotation in _said_of(_at(model, path)):
        match annotation:
            case Ge(ge=bound):
                low = int(str(bound))
            case Le(le=bound):
                high = int(str(bound))
            case Form():
                form = annotation
            case Example():
                example = annotation.text
            case Refused():
                refused = annotation.choices
            case FieldInfo(json_schema_extra=dict() as extra):
                low, high = _whole_number(extra.get("minimum"), low), _whole_number(extra.get("maximum"), high)
    return Limits(low, high, form, example, refused)


def is_sensitive(model: type[BaseModel], path: KeyPath) -> bool:
    """Return whether a place lies at or below a key that may hold a password."""
    return any(
        isinstance(annotation, Sensitive)
        for length in range(1, len(path) + 1)
        for annotation in _said_of(_at(model, path[:length]))
    )


def keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys that the model takes at a place."""
    return list(_fields(_at(model, path)))


def _at(model: type[BaseModel], path: KeyPath) -> Any:
    """Return what is annotated at a place."""
    annotation: Any = model
    for part in path:
        annotation = _step(annotation, part)
    return annotation


def _step(annotation: Any, part: str | int) -> Any:
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        field = _fields(bare).get(str(part))
        if field is None:
            return None
        return Annotated[(field.annotation, field, *field.metadata)]
    arguments = get_args(bare)
    if get_origin(bare) is dict:
        return arguments[1]
    return arguments[0] if arguments else None


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """Return the fields of a model by their keys; none where it isn't one."""
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return {field.alias or name: field for name, field in bare.model_fields.items()}
    return {}


def _said_of(annotation: Any) -> Iterator[object]:
    """Yield all that is said of a value beside its type, the outermost last."""
    if get_origin(annotation) is Annotated:
        inner, *annotations = get_args(annotation)
        yield from _said_of(inner)
        for extra in annotations:
            yield extra
            if isinstance(extra, FieldInfo):
                yield from extra.metadata
    elif get_origin(annotation) in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _said_of(member)


def _bare(annotation: Any) -> Any:
    """Strip Annotated and Optional."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, types.UnionType}:
            annotation = next(member for member in get_args(annotation) if member is not type(None))
        else:
            return annotation


def _whole_number(value: object, otherwise: int | None) -> int | None:
    return value if isinstance(value, int) else otherwise
