"""Whose an instance on a host is, in real files."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.kvm.claim import Claim, claim_file, read_claim
from infra.kvm.errors import NotOurs
from infra.ssh import LocalShell

OURS = Claim("11111111-0000-4000-8000-000000000000", "lab", "lab", "me on here in /one, today")
THEIRS = Claim("22222222-0000-4000-8000-000000000000", "lab", "lab", "you on there in /two, yesterday")
SHELL = LocalShell()


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "azlocal" / "lab")


def test_the_first_state_has_it_and_every_other_is_told_who(directory: str) -> None:
    assert read_claim(SHELL, directory) is None
    assert OURS.make(SHELL, directory) is True
    assert OURS.make(SHELL, directory) is False, "each `up` claims it again"
    assert read_claim(SHELL, directory) == OURS
    with pytest.raises(NotOurs) as refused:
        THEIRS.make(SHELL, directory)
    said = str(refused.value)
    assert "me on here in /one" in said
    assert f"AZLOCAL_TAKE_OVER={OURS.id}" in said
    assert read_claim(SHELL, directory) == OURS
    OURS.release(SHELL, directory)
    OURS.release(SHELL, directory)
    assert list(Path(directory).parent.iterdir()) == []


def test_one_of_many_that_begin_at_once_has_it(directory: str) -> None:
    def claim(number: int) -> bool:
        try:
            return Claim(f"id-{number}", "lab", "lab", "x").make(SHELL, directory)
        except NotOurs:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(24))) == 1
    assert [path.name for path in Path(directory).parent.iterdir()] == ["lab.owner"]


def test_it_can_be_given_to_another(directory: str) -> None:
    THEIRS.make(SHELL, directory)
    OURS.renew(SHELL, directory)
    assert read_claim(SHELL, directory) == OURS


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"format": "azlocal/owner-9", "id": "x"})])
def test_what_cannot_be_read_is_somebodys(directory: str, content: str) -> None:
    path = Path(claim_file(directory))
    path.parent.mkdir(parents=True)
    path.write_text(content)
    for look in (lambda: read_claim(SHELL, directory), lambda: OURS.make(SHELL, directory)):
        with pytest.raises(NotOurs, match=r"can't be read by this version"):
            look()
    assert path.read_text() == content
