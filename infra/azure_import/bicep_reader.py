"""Bicep as far as it is values: parameter files, and resources whose bodies are literal.

Bicep is a language, and this is no compiler: what is computed is refused with its line, and nothing is guessed.
Grammar: https://learn.microsoft.com/azure/azure-resource-manager/bicep/file and …/parameter-files.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Final

from infra.azure_import.things import Thing
from infra.export.bicep_text import Expression
from infra.spec.findings import KeyPath, shown

_TOKEN: Final = re.compile(
    r"""(?P<space>(?:[\s,]|//[^\n]*|/\*.*?\*/)+)
    |'''\n?(?P<raw>.*?)'''
    |'(?P<text>(?:\\u\{[0-9a-fA-F]+\}|\\[nrt'$\\]|[^'\\\n])*)'
    |(?P<number>-?\d+)
    |(?P<sign>[{}\[\]:=@])
    |(?P<name>[A-Za-z_][\w.]*(?:\([^()\n]*\))?)""",
    re.VERBOSE | re.DOTALL,
)
_BEGINNING: Final = re.compile(
    r"(?>\s+|//[^\n]*|/\*.*?\*/)*+(?:(?:using|param|resource|targetScope)\b|@\w+\()", re.DOTALL
)
_WORDS: Final = {"true": True, "false": False, "null": None}
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_MOST_LEVELS: Final = 40
_ELSE: Final = "write values there, or import what az prints of the resource"


class BicepError(Exception):
    """A text isn't Bicep, or not the part of it that is read.

    Attributes:
        line: The line.
        message: What is there.
        remedy: What to do.
    """

    def __init__(self, line: int, message: str, remedy: str = _ELSE) -> None:
        super().__init__(message)
        self.line, self.message, self.remedy = line, message, remedy


@dataclass(frozen=True)
class BicepFile:
    """What a file says.

    Attributes:
        using: The module that a parameter file is for.
        parameters: Each parameter's value.
        resources: The type of each resource without its version, and its body, by the symbol.
    """

    using: str | None = None
    parameters: dict[str, Thing] = field(default_factory=dict)
    resources: dict[str, tuple[str, Thing]] = field(default_factory=dict)


def is_bicep(text: str) -> bool:
    """Tell whether a text begins as Bicep does."""
    return _BEGINNING.match(text) is not None


def read_bicep(text: str, file: str) -> BicepFile:
    """Read a file.

    Raises:
        BicepError: It isn't Bicep, or it computes something.
    """
    return _Reader(text, file).file()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int

    @property
    def shown(self) -> str:
        return shown(self.text) if self.kind != "end" else "the end of the file"


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._tokens = list(_tokens(text))
        self._at = 0

    def file(self) -> BicepFile:
        made = BicepFile()
        using = None
        while (token := self._next()).kind != "end":
            match token.text if token.kind == "name" else token.kind:
                case "using":
                    using = self._expect("text").text
                case "param":
                    name = self._expect("name").text
                    if self._is("="):
                        made.parameters[name] = self._value((name,))
                    else:
                        self._expect("name")  # a template's parameter: its type; whoever deploys gives the value
                case "resource":
                    symbol, kind = self._expect("name").text, self._expect("text").text
                    if self._peek().text == "existing":
                        self._next()
                    self._expect("sign", text="=")
                    made.resources[symbol] = kind.partition("@")[0], self._value((symbol,))
                case "sign" if token.text == "@":
                    self._expect("name")
                case _:
                    what = f"{token.shown} begins nothing that is read: only using, param and resource are"
                    raise BicepError(token.line, what)
        return BicepFile(using, made.parameters, made.resources)

    def _value(self, path: KeyPath) -> Thing:
        token = self._next()
        if len(path) > _MOST_LEVELS:
            raise BicepError(token.line, f"more than {_MOST_LEVELS} levels of nesting", "flatten the structure")
        value: str | int | bool | list[Thing] | dict[str, Thing] | None
        match token.kind, token.text:
            case "text", text:
                value = text
            case "number", text:
                value = int(text)
            case "name", text:
                value = _WORDS[text] if text in _WORDS else Expression(text)
            case "sign", "[":
                value = []
                while not self._is("]"):
                    value.append(self._value((*path, len(value))))
            case "sign", "{":
                value = {}
                while not self._is("}"):
                    key = self._expect("name", "text").text
                    self._expect("sign", text=":")
                    value[key] = self._value((*path, key))
            case _:
                raise BicepError(token.line, f"{token.shown} is no value")
        return Thing(value, self._file, token.line, path)

    def _expect(self, *kinds: str, text: str | None = None) -> _Token:
        token = self._next()
        if token.kind not in kinds or (text is not None and token.text != text):
            wanted = shown(text) if text is not None else " or ".join(kinds)
            raise BicepError(token.line, f"expected {wanted}, found {token.shown}", "correct the file")
        return token

    def _is(self, sign: str) -> bool:
        if (self._peek().kind, self._peek().text) != ("sign", sign):
            return False
        self._at += 1
        return True

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BicepError(line, f"{shown(text[at : at + 20].splitlines()[0])} is nothing that is read")
        kind = match.lastgroup or ""
        if kind in ("text", "raw"):
            tokens.append(_Token("text", _plain(match[kind], line) if kind == "text" else match[kind], line))
        elif kind != "space":
            tokens.append(_Token(kind, match[kind], line))
        line += match[0].count("\n")
        at = match.end()
    return [*tokens, _Token("end", "", line)]


def _plain(text: str, line: int) -> str:
    if re.search(r"(?<!\\)(?:\\\\)*\$\{", text):
        raise BicepError(line, f"{shown(text)} is computed")

    def real(match: re.Match[str]) -> str:
        if match[1] and int(match[1], 16) > sys.maxunicode:
            raise BicepError(line, f"{shown(match[0])} is no character", "correct the file")
        return chr(int(match[1], 16)) if match[1] else _ESCAPES.get(match[2], match[2])

    return re.sub(r"\\(?:u\{([0-9a-fA-F]+)\}|(.))", real, text)
