from pathlib import Path

from infra.plan.report.placement.output import render_placement
from infra.spec import load_instance
from tests.instances import checked_placement

ROOT = Path(__file__).parents[4]


def test_the_picture_in_the_documents_is_the_example_lab_s() -> None:
    made = render_placement(checked_placement(load_instance("lab", ROOT)), "svg", (), {})
    picture = (ROOT / "docs/placement.svg").read_text(encoding="utf-8")
    assert picture == made, "run `azlocal plan lab --no-lock --placement -o docs/placement.svg`"
