"""Both examples are exported as golden/ has it; what changes there is what a person who deploys would see."""

from __future__ import annotations

import pytest

from tests.export.golden import FOLDER, STACKS, made_of


@pytest.mark.parametrize("stack", STACKS)
def test_an_example_is_exported_as_it_was(stack: str) -> None:
    """After a change that is meant: `python -m tests.export.golden`, and read the diff."""
    now = dict(made_of(stack))
    then = {
        str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8")
        for path in (FOLDER / stack).rglob("*")
        if path.is_file()
    }
    assert sorted(now) == sorted(then)
    for name, text in now.items():
        assert text == then[name], name
