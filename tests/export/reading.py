"""What other programs read in an export: Bicep's values, and the commands that a script runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.export.bicep_text import Expression
from tests.export.exporting import recorded

_TOKENS = re.compile(
    r"\s*(?:(?P<text>'(?:\\u\{[0-9a-f]+\}|\\[nrt'$\\]|[^'\\\n$])*')|(?P<number>-?\d+)|(?P<sign>[{}\[\]:])"
    r"|(?P<name>[A-Za-z_]\w*(?:\([^)]*\))?))"
)
_WORDS = {"true": True, "false": False, "null": None}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = [match for match in self._split(text) if match.lastgroup]
        self._at = 0

    @staticmethod
    def _split(text: str) -> list[re.Match[str]]:
        found, at, text = [], 0, text.rstrip()
        while at < len(text):
            match = _TOKENS.match(text, at)
            assert match is not None, f"no Bicep: {text[at : at + 40]!r}"
            found.append(match)
            at = match.end()
        return found

    def value(self) -> Any:
        token = self._next()
        match token.lastgroup, token[token.lastgroup or 0]:
            case "text", text:
                return _text(text)
            case "number", text:
                return int(text)
            case "name", text:
                return _WORDS[text] if text in _WORDS else Expression(text)
            case "sign", "[":
                items = []
                while not self._is("]"):
                    items.append(self.value())
                return items
            case "sign", "{":
                made = {}
                while not self._is("}"):
                    key = self._next()
                    assert self._next()["sign"] == ":"
                    name = key["name"] or _text(key["text"])
                    assert name not in made
                    made[name] = self.value()
                return made
        raise AssertionError(token)

    def _is(self, sign: str) -> bool:
        if self._tokens[self._at]["sign"] != sign:
            return False
        self._at += 1
        return True

    def _next(self) -> re.Match[str]:
        self._at += 1
        return self._tokens[self._at - 1]

    @property
    def is_done(self) -> bool:
        return self._at == len(self._tokens)


def _text(text: str) -> str:
    def real(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else _ESCAPES.get(match[2], match[2])

    return re.sub(r"\\(?:u\{([0-9a-f]+)\}|(.))", real, text[1:-1])


def bicep(text: str) -> Any:
    """Read one value, which is all of a text."""
    reader = _Reader(text)
    value = reader.value()
    assert reader.is_done, text
    return value


def bicep_parameters(text: str) -> tuple[str, dict[str, Any]]:
    """Read a parameter file: the module, and each parameter's value."""
    head, *params = re.split(r"^param ", text, flags=re.MULTILINE)
    using = re.search(r"^using (.*)$", head, re.MULTILINE)
    assert using is not None
    values: dict[str, Any] = {}
    for param in params:
        name, _, value = param.partition(" = ")
        assert name not in values
        values[name] = bicep(value)
    return bicep(using[1]), values


def bicep_resources(text: str) -> tuple[list[str], dict[str, tuple[str, dict[str, Any]]]]:
    """Read a template: its secure parameters, and each resource's type and body by its symbol."""
    secrets = re.findall(r"^@secure\(\)\nparam (\w+) string$", text, re.MULTILINE)
    resources: dict[str, tuple[str, dict[str, Any]]] = {}
    for part in text.split("\n\n"):
        if match := re.match(r"resource (\w+) '([^']+)'( existing)? = ", part):
            assert match[1] not in resources
            resources[match[1]] = match[2], bicep(part[match.end() :])
    return secrets, resources


def az_faults(words: Sequence[str]) -> list[str]:
    """Return what the az CLI would say of a command's options, by its reference."""
    commands = recorded("az")["commands"]
    name = max((known for known in commands if list(words[: len(known.split())]) == known.split()), key=len)
    known, rest = commands[name], words[len(name.split()) :]
    options = [word for word in rest if word.startswith("--")]
    names = {
        *known["optional"],
        *recorded("az")["global"]["options"],
        *(one for group in known["required"] for one in group),
    }
    faults = [f"{name} has no {option}" for option in options if option not in names]
    faults += [f"{name} lacks {group[0]}" for group in known["required"] if not {*group} & {*options}]
    for at, word in enumerate(rest):
        follows = at + 1 < len(rest) and not rest[at + 1].startswith("--")
        if word in options and (word in known["switches"]) == follows:
            faults.append(f"{name} {word} {'takes nothing' if follows else 'takes a value'}")
    return faults


STUB = """#!/usr/bin/env bash
printf '%s\\0' az "$@" >>"$AZ_LOG"
printf '\\n\\0' >>"$AZ_LOG"
"""


def write_stub(folder: Path) -> Path:
    """Make an `az` that writes down its words, and return its folder."""
    folder.mkdir()
    (folder / "az").write_text(STUB, encoding="utf-8")
    (folder / "az").chmod(0o755)
    return folder


def read_log(path: Path) -> list[list[str]]:
    """Return the commands that the stub was called by."""
    calls: list[list[str]] = [[]]
    for word in path.read_text(encoding="utf-8").split("\0")[:-1] if path.exists() else []:
        if word == "\n":
            calls.append([])
        else:
            calls[-1].append(word)
    return calls[:-1]
