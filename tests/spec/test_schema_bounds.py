"""Every bound of every schema: what the schema refuses, the plan refuses, and the other way round."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infra.spec import Finding, SpecError, load_instance
from tests.instances import checked_addresses, cluster, files, in_files
from tests.spec.places import KEYS, ROOTS, Placed, Schema, put, sample, walk

BOUNDS = (KEYS, "minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "minItems", "maxItems")
# Rules that refuse what has the right form: what else is in the files doesn't go with it.
OTHERS = {
    *(
        "unknown-vm-size",
        "unknown-network",
        "unknown-gateway-host",
        "network-not-static",
        "windows-pool",
        "os-sku-of-other-type",
    ),
    *("arc-subscription-missing", "arc-endpoint-missing", "unknown-region", "max-pods-few"),
    *("storage-class-unknown-pool", "storage-class-immediate", "storage-class-name"),
    *("vip-outside-prefix", "gateway-outside-prefix", "host-outside-infrastructure"),
}
# Texts that no pattern of ours takes, or few; what each one is held to is the schema's own word.
TEXTS = (
    *(
        "",
        " ",
        "-",
        "a b",
        "a,b",
        "UPPER_case",
        "-x",
        "x-",
        "a" * 300,
        "é",
        "1",
        "1.2",
        "v1.33.5",
        "1.33.05",
        "{}",
    ),
    *("192.0.2.7", "192.0.2.0/24", "192.0.2.256", "192.0.2.0/33", "http://proxy.example:8080", "qemu:///system"),
)


ALL = [one for one in walk() if any(key in one.schema for key in BOUNDS)]
PATTERNS = list({one.schema["pattern"]: one for one in ALL if "pattern" in one.schema}.values())


def with_value(bounded: Placed, value: Any) -> dict[str, Any]:
    """Return the files with a value at its place, and with what leads there."""
    content = copy.deepcopy(files([cluster()], stack={"arc": {"cloud": "emulator"}}))
    put(content, bounded, value)
    return content


def findings(folder: Path, bounded: Placed, value: Any, **stack: Any) -> list[Finding]:
    """Return the errors at a place, or in it, when a value stands there; `stack` are keys of the stack's file."""
    content = with_value(bounded, value)
    content["stack"] |= stack
    for name, one in in_files(content).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(one), encoding="utf-8")  # JSON is YAML, and quickly written
    try:
        found = checked_addresses(load_instance("lab", folder)).findings
    except SpecError as error:
        found = tuple(error.findings)
    return [one for one in found if one.severity == "error" and bounded.is_named_by(one.path)]


def values(schema: Schema) -> list[Any]:
    """Return values on a schema's bounds and just beyond them."""
    found: list[Any] = []
    for key in ("minimum", "maximum"):
        if key in schema:
            step = 1 if schema["type"] == "integer" else 0.01
            found += [schema[key] - step, schema[key], schema[key] + step]
    if "minimum" in schema:
        found += [0, -1, True, "2", 10**12, -(10**17)]
    if "enum" in schema:
        found += [*schema["enum"], "no such", 0, 2, -1, 10**12]
    if schema.get("type") == "string":
        for key in ("minLength", "maxLength"):
            if key in schema:
                found += ["a" * (schema[key] + step) for step in (-1, 0, 1) if schema[key] + step >= 0]
        found += [*TEXTS, *schema.get("examples", ())]
    return found


def _told_apart(bounds: list[Placed]) -> Iterator[tuple[Placed, list[Any]]]:
    """Yield each place with its values; of a schema that stood elsewhere, one that it takes and one it refuses."""
    seen: list[Schema] = []
    for one in bounds:
        schema = {key: value for key, value in one.schema.items() if key not in ("default", "description")}
        some = values(schema)
        if schema in seen:
            is_valid = Draft202012Validator(schema).is_valid
            some = [*filter(is_valid, some)][:1] + [value for value in some if not is_valid(value)][:1]
        seen.append(schema)
        yield one, some


MAPPINGS = [one for one in ALL if KEYS in one.schema]
LISTS = [one for one in ALL if "minItems" in one.schema or "maxItems" in one.schema]
CASES = list(_told_apart([one for one in ALL if one not in [*LISTS, *MAPPINGS]]))


def test_there_are_bounds_of_every_kind() -> None:
    assert {key for one in ALL for key in BOUNDS if key in one.schema} == set(BOUNDS)
    assert len(ALL) > 110
    assert len(PATTERNS) > 15


@pytest.mark.parametrize(("bounded", "some"), CASES, ids=[str(one) for one, _ in CASES])
def test_the_plan_refuses_what_the_schema_refuses_and_nothing_else(
    bounded: Placed, some: list[Any], tmp_path: Path
) -> None:
    validator = Draft202012Validator(bounded.schema)
    for value in some:
        found = findings(tmp_path, bounded, value)
        if validator.is_valid(value):
            assert {one.rule for one in found} <= OTHERS, (value, [str(one) for one in found])
        else:
            assert found, value


@pytest.mark.parametrize("bounded", LISTS, ids=str)
def test_lists_are_as_long_as_the_schema_says(bounded: Placed, tmp_path: Path) -> None:
    least, most = bounded.schema.get("minItems", 0), bounded.schema.get("maxItems", 0)
    for count in (least - 1, most + 1):
        if count >= 0:
            item = sample(bounded.schema["items"], ROOTS[bounded.part])
            assert findings(tmp_path, bounded, [item] * count), count
    key = str(bounded.place[-1])
    for count in {least, most} - {0}:
        item = sample(bounded.schema["items"], ROOTS[bounded.part])
        found = findings(tmp_path, bounded, [item] * count, deploymentClass="disaggregated")
        assert not [str(one) for one in found if one.path.endswith(key)], count


@pytest.mark.parametrize("bounded", MAPPINGS, ids=str)
def test_keys_have_the_form_that_the_schema_says(bounded: Placed, tmp_path: Path) -> None:
    names = Draft202012Validator(bounded.schema[KEYS])
    value = sample(bounded.schema["additionalProperties"], ROOTS[bounded.part])
    for key in (*TEXTS, *bounded.schema[KEYS].get("examples", ())):
        found = [one.rule for one in findings(tmp_path, bounded, {key: value}) if one.rule != "pin-unknown"]
        assert bool(found) != names.is_valid(key), (key, found)


# ---- words: a message has no regular expression, and what it advises is taken

REGULAR = re.compile(r"\^|\\[sdSw]|\[[^\]]*-[^\]]*\]|\{\d+,?\d*\}|\(\?|pattern")
ADVICE = re.compile(r"(?:write it as|write(?! one)|put it in quotes:) \"?([^\s\",;]+)\"?")


@pytest.mark.parametrize("bounded", PATTERNS, ids=str)
def test_no_regular_expression_is_shown_and_the_advice_is_taken(bounded: Placed, tmp_path: Path) -> None:
    validator = Draft202012Validator(bounded.schema)
    broken = [value for value in (*TEXTS, 5, 1.3, True, "Ä/b c", "x" * 101) if not validator.is_valid(value)]
    texts = {(one.message, one.remedy) for value in broken for one in findings(tmp_path, bounded, value)}
    assert texts
    for message, remedy in texts:
        assert not REGULAR.search(message + remedy), (message, remedy)
    if "examples" in bounded.schema:
        advised = {found[1] for _, remedy in texts if (found := ADVICE.search(remedy))}
        assert advised, texts
        for value in advised:
            refused = findings(tmp_path, bounded, value)
            assert {one.rule for one in refused} <= OTHERS, (value, [str(one) for one in refused])
