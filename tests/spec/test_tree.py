import os
from pathlib import Path

import pytest

from infra.spec.tree import MAX_BYTES, parse_document, read_document

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "rule", "place"),
    [
        ("", "empty-file", "f.yaml"),
        ("# only a comment\n", "empty-file", "f.yaml"),
        ("---\n", "not-a-mapping", "f.yaml:"),
        ("- a\n", "not-a-mapping", "f.yaml:1"),
        ("just text", "not-a-mapping", "f.yaml:1"),
        ("a: 1\n---\nb: 2\n", "yaml-syntax", "f.yaml:3"),
        ("a: [1, 2\nb: 3\n", "yaml-syntax", "f.yaml:2"),
        ("a: 1\n\tb: 2\n", "yaml-syntax", "f.yaml:2"),
        ("a: '\n", "yaml-syntax", "f.yaml:"),
        ("a: \x00", "yaml-syntax", "f.yaml"),
        ("a: *nothing\n", "yaml-alias", "f.yaml:1"),
        ("a: &a [*a]\n", "yaml-alias", "f.yaml:1"),
        ("a: &a\n  b: {c: *a}\n", "yaml-alias", "f.yaml:2"),
        ("a: " + "[" * 200_000, "yaml-too-deep", "f.yaml:1"),
        ("a: " + "{a: " * 100_000, "yaml-too-deep", "f.yaml:1"),
        (BOMB, "yaml-too-many-values", "f.yaml:"),
        ("? [a, b]\n: c\n", "bad-key", "f.yaml:1"),
    ],
)
def test_what_stops_reading_is_one_finding(text: str, rule: str, place: str) -> None:
    document = parse_document(text, "f.yaml")
    assert document.root is None
    assert [finding.rule for finding in document.faults] == [rule]
    assert document.faults[0].path.startswith(place)
    assert document.faults[0].remedy


@pytest.mark.parametrize(
    ("text", "rule", "path"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", "f.yaml:3: a"),
        ("a:\n- {b: 1, b: 2}\n", "duplicate-key", "f.yaml:2: a[0].b"),
        ("a: {1: x}\n", "bad-key", "f.yaml:1: a"),
        ("a: !python/object:os.system x\n", "yaml-tag", "f.yaml:1: a"),
        ("a:\n- !foo [x]\n", "yaml-tag", "f.yaml:2: a[0]"),
        ("a: {<<: 3}\n", "bad-merge", "f.yaml:1: a"),
    ],
)
def test_other_faults_name_their_place_and_reading_goes_on(text: str, rule: str, path: str) -> None:
    document = parse_document(text + "z: 1\n", "f.yaml")
    assert [(finding.rule, finding.path) for finding in document.faults] == [(rule, path)]
    assert document.root is not None
    assert document.root.value["z"] == 1


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("0110", "0110"),  # YAML 1.1 reads 72
        ("1:30", "1:30"),  # YAML 1.1 reads 90
        ("no", "no"),  # YAML 1.1 reads false
        ("true", True),
        ("'true'", "true"),
        ("1.34", 1.34),
        ("1.34.4", "1.34.4"),
        ("1e3", 1000.0),
        ("9" * 5000, "9" * 5000),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("! 5", "5"),
    ],
)
def test_scalars(scalar: str, value: object) -> None:
    document = parse_document(f"a: {scalar}\n", "f.yaml")
    assert document.root is not None
    assert document.root.value == {"a": value}
    assert type(document.root.value["a"]) is type(value)


def test_anchors_and_merge_keys_keep_their_lines() -> None:
    document = parse_document("base: &b\n  x: 1\n  y: 2\nc:\n  <<: *b\n  y: 3\nd: [*b]\n", "f.yaml")
    assert document.root is not None
    assert document.root.value == {"base": {"x": 1, "y": 2}, "c": {"y": 3, "x": 1}, "d": [{"x": 1, "y": 2}]}
    assert document.where(("c", "y")) == "f.yaml:6: c.y"
    assert document.where(("d", 0, "x")) == "f.yaml:2: d[0].x"


def test_a_place_that_is_absent_is_named_by_what_holds_it() -> None:
    document = parse_document("a:\n- b: 1\n- c: 2\n", "f.yaml")
    assert document.where(("a", 1, "missing")) == "f.yaml:3: a[1].missing"
    assert document.where(("nothing",)) == "f.yaml: nothing"
    assert document.where(()) == "f.yaml"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\n")
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * (MAX_BYTES + 1))
    fifo = tmp_path / "fifo.yaml"
    os.mkfifo(fifo)
    found = {
        name: read_document(path, "f.yaml").faults[0]
        for name, path in {
            "missing": tmp_path / "none.yaml",
            "folder": tmp_path,
            "binary": binary,
            "huge": huge,
            "fifo": fifo,
        }.items()
    }
    assert {name: fault.rule for name, fault in found.items()} == {
        "missing": "missing-file",
        "folder": "unreadable-file",
        "binary": "not-utf-8",
        "huge": "file-too-large",
        "fifo": "unreadable-file",
    }
    assert found["binary"].path == "f.yaml:2"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    document = read_document(path, "f.yaml")
    assert document.root is not None
    assert document.root.value == {"a": 1}
