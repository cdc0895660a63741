import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from infra.spec.schema import json_schemas
from infra.spec.types import Model

ROOT = Path(__file__).parents[2]
INPUTS = sorted(
    path
    for pattern in ("Pulumi.*.yaml", "hosts/*.yaml", "netplans/*.yaml", "targets/*.yaml")
    for path in ROOT.glob(pattern)
)
FILES = [path for path in INPUTS if not path.name.endswith(".lock.yaml")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_input_file_names_its_schema_and_keeps_to_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    start = "# yaml-language-server: $schema="
    first = text.splitlines()[0]
    assert first.startswith(start)
    schema = (path.parent / first.removeprefix(start)).resolve()
    assert schema.parent == ROOT / "schemas"
    Draft202012Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(yaml.safe_load(text))


@pytest.mark.parametrize("name", json_schemas())
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(json_schemas()[name])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("stack.schema.json", {"config": {"azlocal:site": "s", "azlocal:cluster": []}}),
        ("stack.schema.json", {"config": {}}),
        ("netplan.schema.json", {"infrastructure": {"addressPrefix": "10.0.0.0"}}),
        ("hosts.schema.json", {"hosts": [{"name": "n", "connection": "x"}]}),
        ("hosts.schema.json", {"hosts": []}),
        ("target.schema.json", {"subscriptionId": "mine"}),
        ("target.schema.json", {"vmSizes": {"Lab_Small": "Lab_Small"}}),
        ("target.schema.json", {"clusters": {"a": {"sshPublicKeys": []}}}),
    ],
)
def test_editors_see_what_is_wrong(name: str, content: Any) -> None:
    assert list(Draft202012Validator(json_schemas()[name]).iter_errors(content))


def test_pulumis_own_keys_are_no_fault_in_an_editor() -> None:
    content = {"encryptionsalt": "x", "config": {"azlocal:site": "s", "aws:region": "x"}}
    assert not list(Draft202012Validator(json_schemas()["stack.schema.json"]).iter_errors(content))


def _models(above: type[Model]) -> list[type[Model]]:
    return [one for below in above.__subclasses__() for one in (below, *_models(below))]


_OPTIONAL = [one for one in _models(Model) if not any(field.is_required() for field in one.model_fields.values())]


@pytest.mark.parametrize("model", _OPTIONAL)
def test_defaults_are_what_a_file_that_says_them_is_read_as(model: type[Model]) -> None:
    """Nothing reads a default when it is taken."""
    taken = model.model_construct()
    assert model.model_validate_json(taken.model_dump_json(by_alias=True)) == taken
