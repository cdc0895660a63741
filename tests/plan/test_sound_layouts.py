"""No sound plan is refused: labs as people build them, each through its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.plan.instance import plan_instance
from infra.spec import load_instance
from tests.instances import write_files
from tests.plan.sound_layouts import Content, named

LAYOUTS = dict(named())


def test_there_are_forty_of_them() -> None:
    assert len(LAYOUTS) == len(named()) >= 40


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_lab_as_people_build_it_is_sound(name: str, tmp_path: Path) -> None:
    content: Content = LAYOUTS[name]
    write_files(tmp_path, content)
    findings = plan_instance(load_instance("lab", tmp_path)).findings
    assert not [str(finding) for finding in findings if finding.severity == "error"]
