"""docs/reference says what commands, schemas and rules say."""

from __future__ import annotations

import pytest

from scripts.reference import REFERENCE, pages

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name], "run `make reference`"


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_told_twice_below_one_heading(name: str) -> None:
    for section in PAGES[name].split("\n## "):
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        assert len(rows) == len(set(rows))
    headings = [line for line in PAGES[name].splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings))
