"""Many questions in one command, by the real sh."""

from __future__ import annotations

import subprocess

import pytest

from infra.hosts.facts import Fact
from infra.hosts.facts.batch import Answer, NoAnswer, answers, learn, script

BOUNDARY = "=b="
ECHO = Fact(("printf", "%s\n", "a b", "=b=", "=b= 7 more"), str.splitlines)
FAILS = Fact(("sh", "-c", "echo half; exit 3"), str.split)
TOLERANT = Fact(("sh", "-c", "echo half; exit 3"), str.split, must_succeed=False)
NOT_THERE = Fact(("azlocal-no-such-program",), str.split)
HANGS = Fact(("sleep", "30"), str.split)
SILENT = Fact(("true",), str.split)
UNREADABLE = Fact(("echo", "x"), int)


def asked(**facts: Fact[object]) -> dict[str, Answer]:
    done = subprocess.run(["sh"], input=script(facts, BOUNDARY, 1), capture_output=True, timeout=20, check=False)
    assert done.stderr == b""
    return answers(done.stdout.decode(), BOUNDARY)


def test_each_fact_is_learned_or_says_why_not() -> None:
    told = asked(
        echo=ECHO,
        fails=FAILS,
        tolerant=TOLERANT,
        not_there=NOT_THERE,
        hangs=HANGS,
        silent=SILENT,
        wrong=UNREADABLE,
    )
    assert learn(ECHO, told["echo"]) == ["a b", "=b=", "=b= 7 more"]
    assert learn(TOLERANT, told["tolerant"]) == ["half"]
    assert learn(SILENT, told["silent"]) == []
    for name, fact, why in (
        ("fails", FAILS, "`sh` ended with code 3"),
        ("not_there", NOT_THERE, "`azlocal-no-such-program` isn't installed there"),
        ("hangs", HANGS, "`sleep` didn't end in time"),
        ("wrong", UNREADABLE, "can't be read"),
    ):
        with pytest.raises(NoAnswer, match=why):
            learn(fact, told[name])


def test_what_came_before_a_host_broke_off_counts() -> None:
    text = f"{BOUNDARY} silent\n\n{BOUNDARY} 0\n{BOUNDARY} echo\nhal"
    told = answers(text, BOUNDARY)
    assert learn(SILENT, told.get("silent")) == []
    with pytest.raises(NoAnswer, match="broke off before `printf`"):
        learn(ECHO, told.get("echo"))
