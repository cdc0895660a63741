"""Login keys change, and lines that others wrote stay."""

from __future__ import annotations

import pytest

from infra.guest.authorized_keys import with_keys

A, B, C = (f"ssh-ed25519 AAAA{letter} {letter}@example.com" for letter in "ABC")


@pytest.mark.parametrize(
    ("text", "before", "wanted", "after"),
    [
        (f"{A}\n", [A], [A], f"{A}\n"),
        (f"{A}\n", [], [B], f"{A}\n{B}\n"),
        (f"{A}\n{B}\n", [A], [B], f"{B}\n"),
        (f"{A}\n{C}\n", [A], [B], f"{C}\n{B}\n"),
        (f"# mine\n\n{C}\n{A}", [A], [B], f"# mine\n\n{C}\n{B}\n"),
        (f'command="x" {A}\n{A}\n', [A], [B], f'command="x" {A}\n{B}\n'),
        (f"{A}\n", [A], [A.replace("A@", "new@")], f"{A.replace('A@', 'new@')}\n"),
        ("ssh-ed25519 AAAAA other comment\n", [A], [B], f"{B}\n"),
        (f"{A}\n", [A, B], [A], f"{A}\n"),
    ],
)
def test_the_lines(text: str, before: list[str], wanted: list[str], after: str) -> None:
    assert with_keys(text, before, wanted) == after
    assert with_keys(after, wanted, wanted) == after
