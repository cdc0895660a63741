"""What the program may set of each resource kind is what the contracts say."""

from scripts import generate_arguments


def test_the_arguments_are_those_of_the_contracts() -> None:
    written = generate_arguments.PATH.read_text(encoding="utf-8")
    assert written == generate_arguments.source(), "run `python -m scripts.generate_arguments`"
