"""What a remedy says to write is written, and the plan asked again: the finding is gone, and no error is new."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from infra.spec.findings import Finding
from tests.instances import checked_addresses, files, spec_of
from tests.plan.rules.azure_cases import AZURE_CASES
from tests.plan.rules.test_rules import CASES

Content = dict[str, Any]
Edit = Callable[[Content], None]

_WRITE = re.compile(r"(?:^|, or |; )(?:write|use|set|name one of:?|write one of:?|use one of:?) (?P<rest>[^;]+)")
_PAIR = re.compile(r"(?P<key>[A-Za-z][A-Za-z.]*): (?P<value>[^\s,;]+)")
_WORD = re.compile(r"[A-Za-z0-9][\w./:@+-]*")

PROSE = {
    # Rules of this area whose remedy is an act, not a value: what to name, divide, create or choose is the user's.
    "arc-bad-namespace",
    "arc-custom-location-name",
    "arc-custom-location-namespace",
    "arc-bad-resource-group",
    "arc-bad-tag",
    "arc-extension-scope",
    "arc-extension-twice",
    "arc-flux-bad-name",
    "arc-flux-short-commit",
    "concurrent-creations",
    "gpu-default-pool",
    "gpu-not-here",
    "instance-vm-count",
    "rack-aware-zones",
    "url-out-of-reach",
}


NO_VALUES = {"network-in-reserved-range", "address-of-nobody", "network-is-public", "node-label-forbidden"}
"""Rules whose remedies name where to choose from, or another key, and no value."""

_NO_WORDS = {"more", "fewer", "another", "one"}


def keys_of(finding: Finding, content: Content) -> tuple[str, list[str | int]]:
    """Return the file's section, and the path in it; keys with dots in them are found where they are."""
    name, _, text = finding.path.partition(": ")
    section = {"Pulumi": "stack", "hosts/": "hosts", "netpla": "netplan"}[name[:6]]
    path: list[str | int] = []
    place: Any = content[section]
    text = text.removeprefix("config.azlocal:")
    while text:
        if number := re.match(r"\[(\d+)\]\.?", text):
            path.append(int(number[1]))
            place = place[int(number[1])] if isinstance(place, list) and int(number[1]) < len(place) else None
            text = text[number.end() :]
            continue
        known = sorted((one for one in place or () if text.startswith(str(one))), key=len, reverse=True)
        key = known[0] if isinstance(place, dict) and known else re.split(r"[.\[]", text)[0]
        path.append(key)
        place = place.get(key) if isinstance(place, dict) else None
        text = text[len(key) :].removeprefix(".")
    return section, path


def found_at(content: Any, path: list[str | int]) -> Any:
    for part in path:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def at(content: Content, path: list[str | int]) -> Any:
    """Return what stands at a place; mappings that aren't there are made."""
    found: Any = content
    for part in path:
        found = found.setdefault(part, {}) if isinstance(found, dict) else found[int(part)]
    return found


def put(section: str, path: list[str | int], value: Any) -> Edit:
    def edit(content: Content) -> None:
        at(content[section], path[:-1])[path[-1]] = value

    return edit


def drop(section: str, path: list[str | int]) -> Edit:
    def edit(content: Content) -> None:
        parent = at(content[section], path[:-1])
        if isinstance(parent, list):
            parent.pop(int(path[-1]))
        else:
            parent.pop(path[-1], None)

    return edit


def all_of(*edits: Edit) -> Edit:
    def edit(content: Content) -> None:
        for one in edits:
            one(content)

    return edit


def suggestions(finding: Finding, content: Content) -> Iterator[tuple[str, list[Edit]]]:
    """Yield what a remedy says to write or to remove, each with the edits that it may mean."""
    section, path = keys_of(finding, content)
    if not path:
        return
    remedy, value = finding.remedy, found_at(content[section], path)
    if circle := re.fullmatch(r"remove (\S+) from dependsOn(?: of \S+)?", remedy):
        yield remedy, [put(section, path, [one for one in value or () if one != circle[1]])]
        return
    if re.search(r"(^|or )remove (it|the key)\b", remedy):
        yield "remove it", [drop(section, path)]
    for found in re.finditer(r"(?:^|or )remove ([a-z]+[A-Z]\w*|gateway)\b", remedy):
        yield found[0], [drop(section, path if path[-1] == found[1] else [*path, found[1]])]
    if (kept := re.match(r"keep (\w+)", remedy)) and isinstance(value, dict) and kept[1] in value:
        yield kept[0], [put(section, path, {kept[1]: value[kept[1]]})]
    for found in re.finditer(r"e\.g\. (\S+)", remedy):
        yield found[0], [put(section, path, _like(value, found[1]))]
    for found in _WRITE.finditer(remedy):
        yield from _written(found["rest"], section, path, value)


def _written(text: str, section: str, path: list[str | int], value: Any) -> Iterator[tuple[str, list[Edit]]]:
    if pair := _PAIR.match(text):
        keys, wanted = pair["key"].split("."), yaml.safe_load(pair["value"])
        if path[-1] == keys[-1]:
            yield pair[0], [put(section, path, wanted)]
        else:  # the key's place is the finding's, or that of something around it
            yield pair[0], [put(section, [*path[:depth], *keys], wanted) for depth in range(len(path), -1, -1)]
        return
    for alternative in re.split(r", or | or |, ", text):
        word = alternative.strip().rstrip(".")
        if _WORD.fullmatch(word) and word not in _NO_WORDS:
            written = put(section, path, _like(value, word))
            others = [drop(section, [*path[:-1], key]) for key in re.findall(r"and remove (\w+)", text)]
            yield word, [all_of(written, *others)]


def _like(value: Any, text: str) -> Any:
    """Return what is written as a value of the kind that stands there."""
    if isinstance(value, list):
        return [text]
    return int(text) if isinstance(value, int) and text.isdigit() else text


def planned(content: Content, name: str, lock: Any) -> list[Finding]:
    return list(checked_addresses(spec_of(content, name), lock).findings)


def applied(content: Content, edits: list[Edit]) -> Content | None:
    """Return the content after the first of the edits that can be read; None where none can."""
    for edit in edits:
        changed = copy.deepcopy(content)
        try:
            edit(changed)
            spec_of(changed)
        except (ValidationError, KeyError, ValueError, TypeError, AttributeError):
            continue
        return changed
    return None


def checked(rule: str, instance: dict[str, Any]) -> list[str]:
    """Follow every suggestion of a rule's findings; return what was followed."""
    parts = dict(instance)
    lock, name = parts.pop("lock", None), parts.pop("name", "lab")
    content = copy.deepcopy(files(parts.pop("clusters", ()), **parts))
    before = planned(content, name, lock)
    known = {(one.rule, one.path) for one in before}
    followed = []
    for finding in before:
        if finding.rule != rule:
            continue
        for text, edits in suggestions(finding, content):
            changed = applied(content, edits)
            if changed is None:
                continue
            after = planned(changed, name, lock)
            said = {(one.rule, one.path, one.message) for one in after}
            assert (finding.rule, finding.path, finding.message) not in said, (text, finding)
            new = [one for one in after if one.severity == "error" and (one.rule, one.path) not in known]
            assert not new, (text, [str(one) for one in new])
            followed.append(text)
    return followed


MINE = sorted({rule for rule, _, _ in AZURE_CASES} - PROSE)


@pytest.mark.parametrize("rule", MINE)
def test_a_remedy_that_says_what_to_write_is_right(rule: str) -> None:
    followed = [text for one, _, instance in AZURE_CASES if one == rule for text in checked(rule, instance)]
    assert followed, "its remedies say nothing to write: say so in PROSE"


def test_a_remedy_in_prose_names_no_value() -> None:
    for rule, _, instance in AZURE_CASES:
        if rule in PROSE:
            checked(rule, instance)


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda index: f"{index}-{CASES[index][0]}")
def test_no_remedy_of_any_rule_leads_to_the_next_error(index: int) -> None:
    rule, _, instance = CASES[index]
    if rule not in NO_VALUES:
        checked(rule, instance)
