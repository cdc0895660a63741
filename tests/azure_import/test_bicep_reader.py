"""Bicep's values are read as Bicep would; what is computed is refused with its line, and nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.azure_import.bicep_reader import BicepError, is_bicep, read_bicep
from infra.export.bicep_text import Expression, bicep_value

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(VALUES)
def test_what_an_export_writes_is_read_as_it_was(value: Any) -> None:
    text = f"using 'm'\nparam a = {bicep_value(value)}\n"
    assert read_bicep(text, "x").parameters["a"].plain == value


@given(st.text())
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    try:
        read_bicep(text, "x")
    except BicepError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert error.message
        assert error.remedy


def test_places_comments_and_texts() -> None:
    text = """// a file
using 'br/public:avm/res/x:1.0.0' /* which
is long */
param one = 'it\\'s \\${not} computed \\u{1f600}'
param many = [ 'a', 'b' ] // on one line
param raw = '''
as it is: ${x}'''
param deep = {
  'a b': {
    c: true
  }
}
"""
    file = read_bicep(text, "x.bicepparam")
    assert file.using == "br/public:avm/res/x:1.0.0"
    values = {name: thing.plain for name, thing in file.parameters.items()}
    assert values == {
        "one": "it's ${not} computed \U0001f600",
        "many": ["a", "b"],
        "raw": "as it is: ${x}",
        "deep": {"a b": {"c": True}},
    }
    inner = file.parameters["deep"].get("a b", "c")
    assert inner is not None
    assert inner.where == "x.bicepparam:10: deep.a b.c"


def test_a_templates_resources() -> None:
    text = """@secure()
param secret_x string

resource cluster 'Microsoft.Kubernetes/connectedClusters@2024-01-01' existing = {
  name: 'c'
}

resource e 'Microsoft.KubernetesConfiguration/extensions@2023-05-01' = {
  scope: cluster
  properties: {
    configurationProtectedSettings: {
      key: base64(secret_x)
    }
  }
  dependsOn: [
    cluster
  ]
}
"""
    resources = read_bicep(text, "x").resources
    kind, body = resources["e"]
    assert kind == "Microsoft.KubernetesConfiguration/extensions"
    assert isinstance(body.plain["scope"], Expression)
    assert body.plain["properties"]["configurationProtectedSettings"]["key"] == "base64(secret_x)"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("using 'm'\nparam a = 'x${b}'\n", 2, "computed"),
        ("using 'm'\n\nvar a = 1\n", 3, "'var' begins nothing that is read"),
        ("using 'm'\nparam a = [for x in y: x]\n", 2, ""),
        ("using 'm'\nparam a = {\n  b\n}\n", 4, "expected ':'"),
        ("using 'm'\nparam a = 'x\n", 2, "nothing that is read"),
        ("using 'm'\nparam a = " + "[" * 100, 2, "levels"),
        ("using 'm'\nparam a = '\\u{ffffffff}'\n", 2, "no character"),
        ("using", 1, "end of the file"),
    ],
)
def test_what_isnt_a_value_is_refused(text: str, line: int, what: str) -> None:
    with pytest.raises(BicepError) as caught:
        read_bicep(text, "x")
    assert caught.value.line == line
    assert what in caught.value.message


def test_bicep_is_known_by_how_it_begins() -> None:
    assert is_bicep("// by hand\n\n/* twice */ using 'm'\n")
    assert is_bicep("@description('x')\nparam a string\n")
    assert not is_bicep('{"using": 1}')
    assert not is_bicep("parameters:\n  a: 1\n")
    assert not is_bicep("/*" * 50_000)
