"""How a number of things is written: in one place, and right for one of them."""

import re
from pathlib import Path

import pytest

from infra.counting import IS_LEFT, agreeing, counted

INFRA = Path(__file__).parents[1] / "infra"
OWN_PLURAL = re.compile(r"""\{[^{}]*(['"]e?s['"] if |['"]['"] if [^{}]+ else ['"]e?s['"])[^{}]*\}""")


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "error", "0 errors"),
        (1, "address", "1 address"),
        (2, "address", "2 addresses"),
        (1, "VRRP id", "1 VRRP id"),
        (3000, "control-plane node", "3,000 control-plane nodes"),
    ],
)
def test_one_is_singular(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text


@pytest.mark.parametrize(
    ("count", "total", "verb"),
    [(0, 1, "is left"), (1, 1, "is left"), (1, 3, "is left"), (0, 3, "are left"), (2, 3, "are left")],
)
def test_the_verb_goes_with_what_is_counted(count: int, total: int, verb: str) -> None:
    assert agreeing(count, total, IS_LEFT) == verb


def test_no_verb_of_several_stands_behind_a_number_of_things() -> None:
    several = re.compile(r"counted\([^{}]*\)\} (are|have|take|need|were|run|lie|don't) ")
    wrong = [
        f"{path.relative_to(INFRA)}: {line.strip()}"
        for path in INFRA.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if several.search(line)
    ]
    assert not wrong


def test_no_noun_of_several_stands_behind_a_bare_number() -> None:
    bare = re.compile(
        r"\{(?:len\([^{}]*\)|count|total|blocks|nodes)\} [a-z-]*(?:machine|node|pool|block|addres)\w*s\b"
    )
    assert not [
        f"{path.relative_to(INFRA)}: {line.strip()}"
        for path in INFRA.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if bare.search(line)
    ]


def test_nobody_else_makes_a_plural() -> None:
    own = {
        str(path.relative_to(INFRA))
        for path in INFRA.rglob("*.py")
        if OWN_PLURAL.search(path.read_text(encoding="utf-8"))
    }
    assert own == {"counting.py"}
