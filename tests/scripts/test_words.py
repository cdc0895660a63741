from __future__ import annotations

from pathlib import Path

import pytest

from scripts import words


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, "README.md", "# A product\n")
    monkeypatch.setattr(words, "ROOT", tmp_path)
    monkeypatch.setattr(words, "COUNTS", write(tmp_path, "words.json", '{"found": 1}'))
    return tmp_path


def test_a_banned_word_is_found_in_messages_docstrings_and_markdown(house: Path) -> None:
    write(
        house, "infra/a.py", '"""Makes it anew."""\nfound = 1\nname = f"{found} is to be had"\n# anew: a comment\n'
    )
    write(house, "docs/a.md", "We shall see.\n")
    assert [line.partition(" is no word")[0] for line in words.faults()] == [
        "infra/a.py:1: 'anew'",
        "infra/a.py:3: 'to be had'",
        "docs/a.md:1: 'shall'",
    ]


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("found = 1\n", ""),
        ("def _found(said): ...\n", "infra has 1 names 'said', 0 before"),
        ("found, found = 1, 2\n", "infra has 2 names 'found', 1 before"),
        ("name = 1\n", "infra has only 0 names 'found'"),
    ],
)
def test_names_that_say_nothing_become_fewer(house: Path, code: str, fault: str) -> None:
    write(house, "infra/a.py", code)
    assert fault in "".join(words.faults())
    assert bool(list(words.faults())) == bool(fault)
