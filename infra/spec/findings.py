"""What is wrong, where it stands, and how to put it right."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
KeyPath = tuple[str | int, ...]

_SHOWN_CHARACTERS = 60
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, as people and `azlocal plan --format json` see it.

    Attributes:
        rule: Stable id of the rule that is broken.
        severity: `error` stops a plan, the others don't.
        path: File, line and key path, e.g. `netplans/lab.yaml:12: logicalNetworks[0].ipPools`.
        message: What was found, with the value.
        remedy: What to do about it.
    """

    rule: str
    severity: Severity
    path: str
    message: str
    remedy: str

    def to_json(self) -> dict[str, str]:
        """Return the JSON object of design.md."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.severity}: {self.path}: {self.message} [{self.rule}]\n    {self.remedy}"


class SpecError(Exception):
    """The input can't be read; carries every fault of every file."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def key_path(path: KeyPath) -> str:
    """Write a key path the way people do: `logicalNetworks[0].ipPools`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shown_key(part)}" if text else shown_key(part)
    return text


def shown_key(key: str) -> str:
    """Return a key fit for one line of output: long or unprintable ones are cut and escaped."""
    key = without_login(key)
    if len(key) <= _SHOWN_CHARACTERS and key.isprintable():
        return key
    return _cut(ascii(key)[1:-1])


def without_login(text: str) -> str:
    """Return a text without the login of a URL in it, which may have a password: `http://***@proxy.example`.

    A user alone is shown where that is all that such a URL can have: `qemu+ssh://root@node1/system`.
    """
    before, at, after = text.rpartition("@")
    scheme = match[0] if (match := _SCHEME.match(before)) else ""
    login = before[len(scheme) :]
    is_secret = bool(at) and (":" in login or scheme.lower() in ("http://", "https://"))
    return f"{scheme}***@{after}" if is_secret else text


def shown(value: object) -> str:
    """Describe a value from a file in a few words, whatever it is and however long; no password of a URL's."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            text = without_login(value)
            return f"'{text}'" if _is_short(text) else _cut(ascii(text))
        case int() | float():
            return _cut(repr(value))
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return "a mapping"
    return type(value).__name__


def _is_short(text: str) -> bool:
    return len(text) <= _SHOWN_CHARACTERS and text.isprintable()


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
