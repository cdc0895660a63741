from pathlib import Path

from infra.addresses import plan_addresses
from infra.addresses.report.picture import render_svg
from infra.spec import load_instance

ROOT = Path(__file__).parents[3]


def test_the_picture_in_the_docs_is_the_plan_of_the_example() -> None:
    picture = ROOT / "docs/plan.svg"
    made = render_svg(plan_addresses(load_instance("lab", ROOT)))
    assert picture.read_text(encoding="utf-8") == made, "run `azlocal plan lab --no-lock -o docs/plan.svg`"
