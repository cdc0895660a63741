from pathlib import Path

from infra.placement import plan_placement
from infra.placement.report.output import render_placement
from infra.spec import load_instance

ROOT = Path(__file__).parents[3]


def test_the_picture_in_the_documents_is_the_example_lab_s() -> None:
    made = render_placement(plan_placement(load_instance("lab", ROOT)), "svg", (), {})
    picture = (ROOT / "docs/placement.svg").read_text(encoding="utf-8")
    assert picture == made, "run `azlocal plan lab --no-lock --placement -o docs/placement.svg`"
