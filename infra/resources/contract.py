"""What every resource kind promises: its token, its typed inputs and outputs, and what a change of each does.

One pydantic model per kind is the single source for the program's resource class, for the
plugin's check and diff, and for the package schema served to other languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, ClassVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from infra.model.base import Model


class OnChange(StrEnum):
    """What the plugin does when an input differs from what stands on the host."""

    UPDATE = "update"
    """Change the object in place; it keeps its identity and its data."""
    REPLACE = "replace"
    """Delete the object and make it again."""
    IGNORE = "ignore"
    """Only ever used at creation; a different value later means nothing."""


@dataclass(frozen=True)
class Secret:
    """Marks a property whose value never leaves the engine's encrypted state."""


UPDATE = OnChange.UPDATE
REPLACE = OnChange.REPLACE
IGNORE = OnChange.IGNORE


@dataclass(frozen=True)
class Fault:
    """One input that breaks the contract; `reason` already names the property and what to do."""

    property: str
    reason: str
    secret: bool = False


@dataclass(frozen=True)
class InputProperty:
    """One input: how it is validated, what it defaults to, what a change of it does."""

    name: str
    field: FieldInfo
    on_change: OnChange
    secret: bool

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Return the validator of this one property, so that the known ones can be checked beside unknowns."""
        constraints = tuple(item for item in self.field.metadata if not isinstance(item, OnChange | Secret))
        annotation: Any = self.field.annotation
        for constraint in constraints:
            annotation = Annotated[annotation, constraint]
        return TypeAdapter(annotation)

    def check(self, value: Any, *, secret: bool = False) -> tuple[Any, list[Fault]]:
        """Validate and normalise one value; a fault shows the value unless it is a secret.

        Args:
            value: what the program set.
            secret: whether the program called it one; some properties are secrets whatever it says.
        """
        try:
            return self.adapter.dump_python(self.adapter.validate_python(value), mode="json", by_alias=True), []
        except ValidationError as error:
            secret = secret or self.secret
            return value, [self._fault(detail, secret) for detail in error.errors(include_url=False)]

    def with_defaults(self, value: Any) -> Any:
        """Fill in what a model's value leaves out, where it can't be validated, since something in it is unknown.

        Without, each default would differ from what stands, and be told as a reason for what follows.
        """
        return _with_defaults(self.field.annotation, value)

    def _fault(self, detail: Mapping[str, Any], secret: bool) -> Fault:
        # A place inside is made of keys, which are the secret's, too.
        where = ".".join([self.name, *(() if secret else (str(part) for part in detail["loc"]))])
        shown = "" if secret else f", got {detail['input']!r:.120}"
        # Of a pattern pydantic shows the regular expression.
        is_pattern = detail["type"] == "string_pattern_mismatch"
        reason = "this text isn't possible here" if is_pattern else detail["msg"].lower()
        return Fault(where, f"{where}: {reason}{shown}", secret)


@dataclass(frozen=True)
class Contract:
    """One resource kind as both ends of the engine see it.

    Attributes:
        token: Pulumi's type token, `azlocal:index:<Kind>`.
        inputs: the model of what the program may set; every field carries an `OnChange`.
        state: the model of what is kept in state; it extends `inputs`.
        identity: template of the id, filled in from the inputs' wire names: it must name the object on its host.
        delete_before_replace: whether two of these can't stand side by side (same name, same address).
        purpose: one sentence for the package schema.
        unsettled: whether the kind has to look at a state and its inputs though none of these differs; pure, and
            asked in each run. None: it never has to.
    """

    token: str
    inputs: type[Model]
    state: type[Model]
    purpose: str
    identity: str
    delete_before_replace: bool = True
    unsettled: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] | None = None

    registry: ClassVar[dict[str, Contract]] = {}

    def __post_init__(self) -> None:
        Contract.registry[self.token] = self

    @cached_property
    def properties(self) -> Mapping[str, InputProperty]:
        """Return the inputs by wire name."""
        return {
            _wire_name(name, field): InputProperty(
                _wire_name(name, field), field, _on_change(name, field), _is_secret(field)
            )
            for name, field in self.inputs.model_fields.items()
        }

    def id_of(self, inputs: Mapping[str, Any]) -> str:
        """Return the id of the object with these inputs, as `pulumi import` takes it."""
        return self.identity.format_map(inputs)

    @cached_property
    def computed(self) -> tuple[str, ...]:
        """Return the wire names that only the plugin can know."""
        return tuple(
            _wire_name(name, field)
            for name, field in self.state.model_fields.items()
            if name not in self.inputs.model_fields
        )

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Return the wire names that are secret whatever the program says."""
        return frozenset(
            _wire_name(name, field) for name, field in self.state.model_fields.items() if _is_secret(field)
        )

    @cached_property
    def wire_names(self) -> Mapping[str, str]:
        """Return every property's wire name by its Python name."""
        return {name: _wire_name(name, field) for name, field in self.state.model_fields.items()}

    @cached_property
    def python_names(self) -> Mapping[str, str]:
        """Return every property's Python name by its wire name."""
        return {wire: name for name, wire in self.wire_names.items()}

    def check(
        self, news: Mapping[str, Any], unknown: frozenset[str], secret: frozenset[str] = frozenset()
    ) -> tuple[dict[str, Any], list[Fault]]:
        """Validate the known inputs, fill defaults, and report every fault at once.

        Args:
            news: what the program set, plain data.
            unknown: the names whose values the engine doesn't know yet, or not all of; they pass unchecked.
            secret: the names whose values the program calls secrets; faults don't show them.
        """
        faults = [
            Fault(name, f"{name}: {self.token} has no such input; it takes {', '.join(self.properties)}")
            for name in news
            if name not in self.properties
        ]
        checked: dict[str, Any] = {}
        for name, prop in self.properties.items():
            if name in unknown:
                checked[name] = prop.with_defaults(news[name])
            elif name in news and not (news[name] is None and not prop.field.is_required()):
                checked[name], property_faults = prop.check(news[name], secret=name in secret)
                faults.extend(property_faults)
            elif prop.field.is_required():
                faults.append(Fault(name, f"{name}: {self.token} needs it and it is not set"))
            else:
                default = prop.field.get_default(call_default_factory=True)
                checked[name] = prop.adapter.dump_python(default, mode="json", by_alias=True)
        return checked, faults


def _with_defaults(annotation: Any, value: Any) -> Any:
    kinds = (annotation, *get_args(annotation))
    model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Model)), None)
    if model is None or not isinstance(value, Mapping):
        return value
    filled = dict(value)
    for name, field in model.model_fields.items():
        wire = _wire_name(name, field)
        if wire in filled:
            filled[wire] = _with_defaults(field.annotation, filled[wire])
        elif not field.is_required():
            filled[wire] = to_jsonable_python(field.get_default(call_default_factory=True), by_alias=True)
    return filled


def _wire_name(name: str, field: FieldInfo) -> str:
    return field.alias or to_camel(name)


def _on_change(name: str, field: FieldInfo) -> OnChange:
    for item in field.metadata:
        if isinstance(item, OnChange):
            return item
    raise TypeError(f"{name}: an input says what a change of it does (UPDATE, REPLACE or IGNORE)")


def _is_secret(field: FieldInfo) -> bool:
    return any(isinstance(item, Secret) for item in field.metadata)
