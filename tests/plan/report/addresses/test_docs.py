from pathlib import Path

from infra.plan.report.addresses.picture import render_svg
from infra.spec import load_instance
from tests.instances import checked_addresses

ROOT = Path(__file__).parents[4]


def test_the_picture_in_the_docs_is_the_plan_of_the_example() -> None:
    picture = ROOT / "docs/plan.svg"
    made = render_svg(checked_addresses(load_instance("lab", ROOT)))
    assert picture.read_text(encoding="utf-8") == made, "run `azlocal plan lab --no-lock -o docs/plan.svg`"
