"""Turn pydantic's errors into findings: the rule, the value, the place in the file, the remedy."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from infra.spec.findings import Finding, KeyPath, shown, shown_key
from infra.spec.near import nearest
from infra.spec.places import Limits, is_sensitive, keys_at, limits_at
from infra.spec.tree import Document, plain_value

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_LONGEST_ADVISED = 60  # characters of a text that a remedy repeats


def explain(errors: Iterable[ErrorDetails], model: type[BaseModel], document: Document) -> list[Finding]:
    """Return a finding for each error, in the order of the file."""
    placed = []
    for error in errors:
        path = _real_path(error["loc"], document)
        rule, message, remedy = _describe(error, model, document.text(path))
        line = document.line(path) or 0
        placed.append((line, Finding(rule, "error", document.where(path), message, remedy)))
    return [finding for _, finding in sorted(placed, key=lambda pair: pair[0])]


def _real_path(loc: tuple[str | int, ...], document: Document) -> KeyPath:
    """Drop what pydantic adds to a location: `[key]` stands for a mapping's key itself."""
    return loc[:-1] if loc and loc[-1] == "[key]" and not _is_in(loc, document) else loc


def _is_in(path: KeyPath, document: Document) -> bool:
    node = document.root
    for part in path:
        node = node.children.get(part) if node else None
    return node is not None


def _describe(error: ErrorDetails, model: type[BaseModel], text: str | None) -> tuple[str, str, str]:
    """Say what is wrong and what to write.

    Args:
        error: What pydantic found.
        model: The file's model.
        text: What is written there, where that is a scalar.
    """
    context: Mapping[str, Any] = error.get("ctx") or {}
    kind, value = error["type"], error["input"]
    is_secret = is_sensitive(model, error["loc"])
    shown_value = "what isn't repeated here" if is_secret else _value_text(value, text)
    limits = limits_at(model, error["loc"])
    if "remedy" in context:
        # What no name may have is refused before the form that this name has.
        form = limits.form if kind == "bad-name" else None
        remedy = f"write it as {form.example}" if form else str(context["remedy"])
        return kind, str(context["message"]), remedy
    if "form" in context:
        remedy = f"write it as {context['form'].example}" if is_secret else _as_form(context["form"], value, text)
        if isinstance(value, str):
            return "wrong-value", f"{shown_value} is not {context['expected']}", remedy
        return "wrong-type", f"expected {context['expected']}; found {shown_value}", remedy
    if kind == "extra_forbidden":
        return _unknown_key(str(error["loc"][-1]), keys_at(model, error["loc"][:-1]))
    if kind == "missing":
        return "missing-key", f"the key '{error['loc'][-1]}' is missing", "add it"
    if kind in _EXPECTED:
        of_entries = limits_at(model, (*error["loc"], 0))  # what a list's entries are, where it expects one
        if (
            _EXPECTED[kind] == "a list"
            and of_entries.low is not None
            and isinstance(value, int)
            and of_entries.holds(value)
        ):
            return "wrong-type", f"expected a list, found {shown_value}", f"write a list, even of one: [{value}]"
        if value is None and _EXPECTED[kind] == "a list":
            return (
                "wrong-type",
                f"expected a list, found {shown_value}",
                "write [] where it is empty, or leave the key out",
            )
        if keys := keys_at(model, error["loc"] if _EXPECTED[kind] == "a mapping" else (*error["loc"], 0)):
            what = "its keys" if _EXPECTED[kind] == "a mapping" else "a list, each entry with its keys"
            return (
                "wrong-type",
                f"expected {_EXPECTED[kind]}, found {shown_value}",
                f"write {what}: {', '.join(keys)}",
            )
        return _wrong_type(_EXPECTED[kind], value, None if is_secret else text, shown_value, limits)
    if kind == "literal_error":
        allowed = str(context.get("expected"))
        return "wrong-value", f"{shown_value} is not one of {allowed}", _choose(value, allowed, limits.refused)
    return "wrong-value", *_beyond(kind, shown_value, context, limits)


def _choose(value: object, allowed: str, refused: tuple[str, ...]) -> str:
    """Say which of several values to write: the one that is meant, else any.

    Args:
        value: What stands there.
        allowed: What the model takes, as pydantic lists it: `'a', 'b' or 'c'`.
        refused: Those of them that a rule refuses.
    """
    by_lower = {choice.lower(): choice for choice in re.findall("'([^']*)'", allowed) if choice not in refused}
    near = nearest(str(value).strip().lower(), by_lower, 0.8)
    if near is not None:
        return f"write {_as_text(by_lower[near])}"
    *others, last = map(_as_text, by_lower.values())
    return f"write {', '.join(others)} or {last}" if others else f"write {last}"


def _as_text(choice: str) -> str:
    """Return what YAML reads as this text: with quotes where it would be true or false without them."""
    return f'"{choice}"' if choice.lower() in {"true", "false"} else choice


def _value_text(value: object, text: str | None) -> str:
    """Describe a value; a number as it is written, for 1.30 is read as 1.3."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_number and text and len(text) <= _LONGEST_ADVISED else shown(value)


def _as_form(form: Any, value: object, text: str | None) -> str:
    """Say what to write so that a text has its form; a number that only lacks its quotes gets them."""
    written = value if isinstance(value, str) else text or ""
    if not isinstance(value, str) and form.fits(written):
        return f'put it in quotes: "{written}"'
    return str(form.remedy(written))


def _beyond(kind: str, shown_value: str, context: Mapping[str, Any], limits: Limits) -> tuple[str, str]:
    """Describe a value outside its bounds."""
    if kind == "greater_than_equal":
        return f"{shown_value} is less than {context['ge']}", f"write {limits.words}"
    if kind == "less_than_equal":
        return f"{shown_value} is more than {context['le']}", f"write {limits.words}"
    if kind in {"string_too_short", "string_too_long"}:
        least, most = context.get("min_length"), context.get("max_length")
        message = (
            f"this is shorter than {least} characters"
            if least
            else f"{shown_value} has more than {most} characters"
        )
        message = "this is empty" if least == 1 else message
        example = limits.example or (limits.form.example if limits.form else None)
        return message, f"write it as {example}" if example else "write another"
    return f"{shown_value} is not possible here", "correct the value"


def _wrong_type(
    expected: str, value: object, text: str | None, shown_value: str, limits: Limits
) -> tuple[str, str, str]:
    remedy = f"write {expected}"
    if expected == "text":
        is_scalar = isinstance(value, bool | int | float)
        if limits.example is not None:
            remedy = f"write it as {limits.example}"
        elif is_scalar and (limits.form is None or limits.form.fits(text or "")):
            remedy = "put it in quotes"
        elif limits.form is not None:
            is_empty = value is None and limits.form.fits("")
            remedy = 'write "" where it is empty' if is_empty else f"write it as {limits.form.example}"
    elif expected == "a whole number":
        number = _whole_number(value)
        if number is not None and limits.holds(number):
            remedy = f"write {number}"
        elif limits.low is not None or limits.high is not None:
            remedy = f"write a whole number: {limits.words}"
        if isinstance(value, str):
            remedy += ", without quotes"
    elif expected == "a list" and text and shown(text) == f"'{text}'":  # short, and without a login
        remedy = f"write a list, even of one: [{json.dumps(text, ensure_ascii=False)}]"
    return "wrong-type", f"expected {expected}, found {shown_value}", remedy


def _whole_number(value: object) -> int | None:
    """Return the whole number that is meant by a text, in any base that YAML or Go write, or by a fraction."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        number = int(value, 0) if isinstance(value, str) else None
    except ValueError:
        return None
    return number if number is not None and isinstance(plain_value(str(number)), int) else None


def _unknown_key(key: str, known: list[str]) -> tuple[str, str, str]:
    lowered = {name.lower(): name for name in known}
    near = nearest(key.lower(), lowered, 0.6)
    hint = f"did you mean '{lowered[near]}'? " if near is not None else ""
    choice = ", ".join(sorted(known)) or "none"
    return "unknown-key", f"the key '{shown_key(key)}' is unknown", f"{hint}keys here: {choice}"
