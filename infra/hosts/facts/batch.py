"""Many questions to a host in one command: over SSH, each command of its own would be a way there and back."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from infra.hosts.facts.fact import Fact

T = TypeVar("T")

_TIMED_OUT: Final = 124
NOT_THERE: Final = 127
"""What timeout(1) ends with where the program isn't installed."""


class NoAnswer(Exception):
    """A fact of a batch couldn't be learned; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command of a batch did."""

    exit_code: int
    output: str


def script(facts: Mapping[str, Fact[object]], boundary: str, seconds: int) -> bytes:
    """Return what `sh` reads to ask all of it.

    Args:
        facts: By a name of letters; those with an input of their own can't be asked this way.
        boundary: A word that no output has in it.
        seconds: What each command may take; libvirt's have no limit of their own.
    """
    lines = ["LC_ALL=C; export LC_ALL", "exec 2>/dev/null"]
    for name, fact in facts.items():
        command = f"timeout --kill-after=1 {seconds} {shlex.join(fact.argv)} </dev/null"
        lines.append(f"printf '%s\\n' '{boundary} {name}'; {command}; printf '\\n%s\\n' \"{boundary} $?\"")
    return "\n".join([*lines, ""]).encode()


def answers(text: str, boundary: str) -> dict[str, Answer]:
    """Read what a script printed; of one that was broken off, what came before counts."""
    parts = re.findall(
        rf"^{re.escape(boundary)} ([a-z_]+)\n(.*?)\n?^{re.escape(boundary)} (\d+)$", text, re.MULTILINE | re.DOTALL
    )
    return {name: Answer(int(code), output) for name, output, code in parts}


def learn(fact: Fact[T], answer: Answer | None) -> T:
    """Return a fact.

    Raises:
        NoAnswer: Its command failed, didn't end, isn't installed, or printed what the parser wasn't made for.
    """
    program = fact.argv[0]
    if answer is None:
        raise NoAnswer(f"the host broke off before `{program}`")
    if answer.exit_code == _TIMED_OUT:
        raise NoAnswer(f"`{program}` didn't end in time")
    if answer.exit_code == NOT_THERE:
        raise NoAnswer(f"`{program}` isn't installed there")
    if fact.must_succeed and answer.exit_code != 0:
        raise NoAnswer(f"`{program}` ended with code {answer.exit_code}")
    try:
        return fact.parse(answer.output)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise NoAnswer(f"what `{program}` printed can't be read ({type(error).__name__}: {error})") from error
