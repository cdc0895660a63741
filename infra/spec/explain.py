"""Turn pydantic's errors into findings: the rule, the value, the place in the file, the remedy."""

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from infra.spec.findings import Finding, KeyPath, shown, shown_key
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
    found = []
    for error in errors:
        path = _real_path(error["loc"], document)
        rule, message, remedy = _describe(error, model, document.text(path))
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
    said = "what isn't repeated here" if is_secret else _said(value, text)
    limits = limits_at(model, error["loc"])
    if "remedy" in context:
        # What no name may have is refused before the form that this name has.
        form = limits.form if kind == "bad-name" else None
        remedy = f"write it as {form.example}" if form else str(context["remedy"])
        return kind, str(context["message"]), remedy
    if "form" in context:
        remedy = f"write it as {context['form'].example}" if is_secret else _as_form(context["form"], value, text)
        if isinstance(value, str):
            return "wrong-value", f"{said} is not {context['expected']}", remedy
        return "wrong-type", f"expected {context['expected']}; found {said}", remedy
    if kind == "extra_forbidden":
        return _unknown_key(str(error["loc"][-1]), keys_at(model, error["loc"][:-1]))
    if kind == "missing":
        return "missing-key", f"the key '{error['loc'][-1]}' is missing", "add it"
    if kind in _EXPECTED:
        one = limits_at(model, (*error["loc"], 0))  # what a list's entries are, where it expects one
        if _EXPECTED[kind] == "a list" and one.low is not None and isinstance(value, int) and one.holds(value):
            return "wrong-type", f"expected a list, found {said}", f"write a list, even of one: [{value}]"
        return _wrong_type(_EXPECTED[kind], value, None if is_secret else text, said, limits)
    if kind == "literal_error":
        allowed = str(context.get("expected"))
        return "wrong-value", f"{said} is not one of {allowed}", f"write {_near(value, allowed) or allowed}"
    return "wrong-value", *_beyond(kind, said, context, limits)


def _near(value: object, allowed: str) -> str | None:
    """Return the one of several values that is meant: pydantic lists them as `'a', 'b' or 'c'`."""
    by_lower = {one.lower(): one for one in re.findall("'([^']*)'", allowed)}
    near = get_close_matches(str(value).strip().lower(), by_lower, n=1, cutoff=0.8)
    return by_lower[near[0]] if near else None


def _said(value: object, text: str | None) -> str:
    """Describe a value; a number as it is written, for 1.30 is read as 1.3."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_number and text and len(text) <= _LONGEST_ADVISED else shown(value)


def _as_form(form: Any, value: object, text: str | None) -> str:
    """Say what to write so that a text has its form; a number that only lacks its quotes gets them."""
    written = value if isinstance(value, str) else text or ""
    if not isinstance(value, str) and form.fits(written):
        return f'put it in quotes: "{written}"'
    return str(form.remedy(written))


def _beyond(kind: str, said: str, context: Mapping[str, Any], limits: Limits) -> tuple[str, str]:
    """Describe a value outside its bounds."""
    if kind == "greater_than_equal":
        return f"{said} is less than {context['ge']}", f"write {limits.words}"
    if kind == "less_than_equal":
        return f"{said} is more than {context['le']}", f"write {limits.words}"
    if kind in {"string_too_short", "string_too_long"}:
        least, most = context.get("min_length"), context.get("max_length")
        found = f"this is shorter than {least} characters" if least else f"{said} has more than {most} characters"
        found = "this is empty" if least == 1 else found
        return found, f"write it as {limits.form.example}" if limits.form else "write another"
    return f"{said} is not possible here", "correct the value"


def _wrong_type(expected: str, value: object, text: str | None, said: str, limits: Limits) -> tuple[str, str, str]:
    remedy = f"write {expected}"
    if expected == "text":
        is_scalar = isinstance(value, bool | int | float)
        if is_scalar and (limits.form is None or limits.form.fits(text or "")):
            remedy = "put it in quotes"
        elif limits.form is not None:
            is_empty = value is None and limits.form.fits("")
            remedy = 'write "" where it is empty' if is_empty else f"write it as {limits.form.example}"
    elif expected == "a whole number":
        number = _whole(value)
        if number is not None and limits.holds(number):
            remedy = f"write {number}"
        elif limits.low is not None or limits.high is not None:
            remedy = f"write a whole number: {limits.words}"
        if isinstance(value, str):
            remedy += ", without quotes"
    elif expected == "a list" and text and shown(text) == f"'{text}'":  # short, and without a login
        remedy = f"write a list, even of one: [{json.dumps(text, ensure_ascii=False)}]"
    return "wrong-type", f"expected {expected}, found {said}", remedy


def _whole(value: object) -> int | None:
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
    near = get_close_matches(key.lower(), lowered, n=1, cutoff=0.6)
    hint = f"did you mean '{lowered[near[0]]}'? " if near else ""
    choice = ", ".join(sorted(known)) or "none"
    return "unknown-key", f"the key '{shown_key(key)}' is unknown", f"{hint}keys here: {choice}"
