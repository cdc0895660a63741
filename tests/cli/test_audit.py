"""`azlocal audit`: what it passes on, what it prints where, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from infra.audit.model import Audit, Item, Place, Scope
from infra.stack.auditing import cleaning, run
from infra.stack.state import Stack
from tests.audit.samples import GONE
from tests.cli.invoking import run_command, write_stacks

CLEAN = Audit("lab", (Place("node1", looked_at=3, since="then"),))
LEFT = Audit("lab", (Place("node1", (Item("leftover", "domain", "lab-rb-0"),)),))
OFF = Audit("lab", (Place("node1", unseen={"": "no route to host"}),))


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What looks come to, one after the other, and how they were asked for."""
    noted: dict[str, Any] = {"results": [CLEAN]}

    def audit(stack: Stack, **options: Any) -> tuple[Audit, list[Scope]]:
        noted.update(stack=stack.name, **options)
        return noted["results"].pop(0), [GONE]

    def clean(_stack: Stack, _audit: Audit, _scopes: list[Scope], *, yes: bool) -> bool:
        noted["yes"] = yes
        return True

    monkeypatch.setattr(run, "audit", audit)
    monkeypatch.setattr(cleaning, "clean", clean)
    (tmp_path / ".azlocal/state").mkdir(parents=True)
    write_stacks(tmp_path, "lab")
    return noted


def azlocal(folder: Path, *words: str) -> Result:
    return run_command(folder, "audit", *words)


@pytest.mark.parametrize(("result", "code"), [(CLEAN, 0), (OFF, 1), (LEFT, 2)])
def test_how_it_ends(results: dict[str, Any], tmp_path: Path, result: Audit, code: int) -> None:
    results["results"] = [result]
    done = azlocal(tmp_path, "lab", "--host", "node1", "--strict")
    assert done.exit_code == code, done.output
    assert (results["stack"], results["hosts"], results["strict"]) == ("lab", ["node1"], True)
    assert done.stdout.startswith("node1: ")
    assert "yes" not in results, "nothing is removed unasked"


def test_a_file_says_its_format(results: dict[str, Any], tmp_path: Path) -> None:
    results["results"] = [LEFT, LEFT, LEFT]
    assert azlocal(tmp_path, "lab", "-o", str(tmp_path / "a.json")).exit_code == 2
    assert json.loads((tmp_path / "a.json").read_text())["counts"] == {"leftover": 1}
    assert azlocal(tmp_path, "lab", "-o", str(tmp_path / "a.xml")).exit_code == 2
    assert (tmp_path / "a.xml").read_text().startswith("<?xml")
    assert json.loads(azlocal(tmp_path, "lab", "--format", "json").stdout)["exitCode"] == 2


def test_after_a_cleaning_it_looks_again_and_ends_by_that(results: dict[str, Any], tmp_path: Path) -> None:
    results["results"] = [LEFT, CLEAN]
    assert azlocal(tmp_path, "lab", "--clean", "--yes").exit_code == 0
    assert results["yes"] is True
