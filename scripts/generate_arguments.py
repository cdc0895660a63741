"""Write infra/resources/arguments.py: what the program may set of each resource kind, as its contract says."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.alias_generators import to_camel

from infra.model.base import Model
from infra.resources import declared
from infra.resources.contract import Contract

PATH = Path(__file__).parents[1] / "infra/resources/arguments.py"

HEAD = '''\
"""What the program may set of each resource kind. `python -m scripts.generate_arguments` writes this file.

Names are the program's at the top, the wire's inside. The plugin checks that nothing needed is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from pulumi import Input as Input  # for those that build arguments, and know no engine
'''


def source() -> str:
    """Return the module's text."""
    assert declared  # noqa: S101 - importing it fills the registry
    written: dict[str, str] = {}
    for token in sorted(Contract.registry):
        _write(Contract.registry[token].inputs, written, is_nested=False)
    return "\n\n".join([HEAD, *written.values()])


def _write(model: type[Model], written: dict[str, str], *, is_nested: bool) -> str:
    """Write the class of a model behind those that it needs; return its name."""
    name = model.__name__.removesuffix("Inputs") + "Args"
    if name not in written:
        lines = list(_lines(model, written, is_nested=is_nested))
        summary = (model.__doc__ or "").split("\n")[0]
        written[name] = f'class {name}(TypedDict, total=False):\n    """{summary}"""\n\n' + "".join(lines)
    return name


def _lines(model: type[Model], written: dict[str, str], *, is_nested: bool) -> Iterator[str]:
    for name, field in model.model_fields.items():
        shown = (field.alias or to_camel(name)) if is_nested else name
        yield f"    {shown}: {_input(field.annotation, written)}\n"


def _input(annotation: Any, written: dict[str, str]) -> str:
    """Return what the program sets: a value, or an output that becomes it."""
    if get_origin(annotation) in {Union, types.UnionType}:
        texts = ["None" if one is type(None) else _value(one, written) for one in get_args(annotation)]
        return f"Input[{' | '.join(texts)}]"
    return f"Input[{_value(annotation, written)}]"


def _value(annotation: Any, written: dict[str, str]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _value(arguments[0], written)
    if origin is Literal:
        quoted = ", ".join(f'"{one}"' for one in arguments)
        return f"Literal[{quoted}]"
    if origin in {list, tuple}:
        return f"Sequence[{_input(arguments[0], written)}]"
    if origin is dict:
        return f"Mapping[str, {_input(arguments[1], written)}]"
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return _write(annotation, written, is_nested=True)
    return str(annotation.__name__)


if __name__ == "__main__":
    PATH.write_text(source(), encoding="utf-8")
