"""What is told of a wrong choice, or a number in another form, is taken when it is written: by the whole plan.

Every key of the three files that has choices or is a number, from the JSON schemas; each in other spellings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.spec import Finding
from tests.spec.places import Placed, walk
from tests.spec.test_schema_bounds import OTHERS, findings

# Rules that refuse a value for another key of the files: what is right there is right where that key is changed.
OF_ANOTHER_KEY = OTHERS - {"network-not-static", "windows-pool"}
CHOICES = [
    one for one in walk() if "enum" in one.schema and all(isinstance(text, str) for text in one.schema["enum"])
]
NUMBERS = [one for one in walk() if one.schema.get("type") == "integer"]
_ADVICE = re.compile(r"^write (?:one of: )?(?P<words>[\w\", -]+?)(?:;|, without quotes|, and |$)")


def spellings(choices: list[str]) -> Iterator[str]:
    """Yield each choice as people write it who don't look it up, and words that are none."""
    for choice in choices:
        yield from {choice.lower(), choice.upper(), choice.capitalize(), f"{choice} ", f"{choice}s"} - set(choices)
    yield from ("docker", "none", "yes", "x")


def advised(remedy: str) -> list[str]:
    """Return what a remedy says to write: one word, or any of several."""
    match = _ADVICE.match(remedy)
    words = re.sub(r", or remove .*", "", match["words"]) if match else ""
    return re.split(r", | or ", words) if words else []


def refused(folder: Path, placed: Placed, value: Any) -> list[Finding]:
    return [one for one in findings(folder, placed, value) if one.rule not in OF_ANOTHER_KEY]


@pytest.mark.parametrize("placed", CHOICES, ids=str)
def test_a_choice_that_a_remedy_names_is_taken(placed: Placed, tmp_path: Path) -> None:
    tried: set[str] = set()
    for wrong in spellings(placed.schema["enum"]):
        for finding in refused(tmp_path, placed, wrong):
            words = set(advised(finding.remedy)) - tried
            tried |= words
            assert tried, f"{finding} says nothing to write"
            for word in words:  # as YAML reads it: True is no text, and "True" is
                read = yaml.safe_load(word)
                assert not [str(one) for one in refused(tmp_path, placed, read)], (wrong, finding.remedy)
    assert tried, "no spelling was refused"


def test_keys_with_choices_that_a_rule_refuses_are_among_them() -> None:
    names = {str(one.place[-1]) for one in CHOICES}
    assert {"osType", "ipAllocationMethod", "machineType", "deploymentClass", "transport"} <= names


@pytest.mark.parametrize("placed", NUMBERS, ids=str)
def test_a_number_that_a_remedy_names_is_taken(placed: Placed, tmp_path: Path) -> None:
    good = next((number for number in (placed.schema.get("minimum"), 1, 3, 1500) if number is not None), 1)
    if "enum" in placed.schema:
        good = placed.schema["enum"][0]
    for wrong in (str(good), float(good), hex(good), f" {good}"):
        for finding in refused(tmp_path, placed, wrong):
            for word in advised(finding.remedy):
                if word.isdecimal():
                    assert not [str(one) for one in refused(tmp_path, placed, int(word))], (wrong, finding.remedy)


@pytest.mark.parametrize("placed", NUMBERS, ids=str)
def test_no_number_is_without_bounds(placed: Placed, tmp_path: Path) -> None:
    for absurd in (-1, 10**12, 10**17):
        assert findings(tmp_path, placed, absurd), absurd
