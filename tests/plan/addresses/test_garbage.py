"""Over any files at all: no traceback, and every fault names its file.

A few hundred examples a run; with `AZLOCAL_GARBAGE=10000` it takes a minute or two.
"""

import copy
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from infra.plan.addresses import ADDRESS_LOCK
from infra.plan.sizing import size_instance
from infra.plan.sizing.table import render_sizes
from infra.spec import Finding, SpecError, load_instance
from infra.spec.loader import load_stack
from tests.instances import checked_addresses, cluster, files, write_files

EXAMPLES = int(os.environ.get("AZLOCAL_GARBAGE", "200"))
FILES = ("Pulumi.lab.yaml", "hosts/s.yaml", "netplans/s.yaml")
LONGEST_LINE = 2_000
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)

NASTY = [
    "",
    "\0",
    "\ufeffconfig: {}",
    "a: &a [*a]",
    "a: &a {b: *a}",
    "&a a: *a",
    "[" * 200_000,
    "{" * 5_000,
    "- " * 5_000 + "x",
    "? [a]\n: b",
    "? {a: b}\n: c",
    "a: !!python/object/apply:os.system [ls]",
    "a: !!binary x\nb: !!timestamp 2001-01-01\nc: !!set {x}",
    "--- a\n--- b",
    "%YAML 9.9\n--- {}",
    "a: b: c",
    "\ta: b",
    "config:\r\n  azlocal:site: s\r\n",
    "config: {<<: [1, 2], azlocal:site: s}",
    "config: {azlocal:site: s, azlocal:site: s}",
    "a: |\n" + "  x\n" * 20_000,
    "k: " + "9" * 5_000,
    "k: .nan\nl: .inf\nm: 0x10\nn: 1e999",
    "x: &x [a,a,a,a,a,a,a,a,a]\n"
    + "\n".join(f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 9)),
    "config:\n  azlocal:site: ../../etc/passwd\n",
    "config:\n  azlocal:site: s\n  azlocal:clusters: [&c {name: *c}]\n",
    "\u202egnp: x\n\u2028: y",
    "😀: {\ud7ff: [\u0085]}",
]

numbers = st.one_of(
    st.integers(),
    st.integers(-3, 70),
    st.sampled_from([2**31, 2**64, -(10**17), math.nan, math.inf, 0.5, -0.0]),
)
words = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "10.0.0.1",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "255.255.255.255",
            "10.220.32.0/24",
            "::1",
            "1.2.3",
            "aks",
            "a" * 500,
        ]
    ),
    st.sampled_from(
        [
            "10.0.0.1-10.0.0.9,",
            "0.0.0.0-255.255.255.255",
            "10.0.0.9-10.0.0.1",
            "\u0661\u0660.\u0660.\u0660.\u0661",
            "s",
            "Small",
        ]
    ),
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | numbers, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def check(folder: Path) -> None:
    """Read and plan; whatever is wrong is said, in lines that name a file."""
    try:
        spec = load_instance("lab", folder)
        plan = checked_addresses(spec)
        findings = list(plan.findings)
        json.dumps(plan.to_json())
    except SpecError as error:
        findings = error.findings
        assert findings
    _check(findings)
    try:
        sizing = size_instance("lab", *load_stack("lab", folder))
    except SpecError as error:
        assert error.findings
        _check(error.findings)
    else:
        json.dumps(sizing.to_json())
        assert render_sizes(sizing)


def _check(findings: list[Finding]) -> None:
    for finding in findings:
        assert finding.path.startswith(("Pulumi.lab.yaml", "hosts/", "netplans/")), finding
        for text in (finding.path, finding.message, finding.remedy):
            assert text, finding
            assert text.isprintable(), ascii(text)
            assert len(text) < LONGEST_LINE, len(text)


def put(folder: Path, name: str, content: str | bytes) -> None:
    write_files(folder, SOUND)
    (folder / name).write_bytes(
        content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    )


SOUND = files([cluster(planes=3, loadBalancer={"addresses": ["10.220.32.47/31"]}), cluster("b")])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_files_that_are_meant_badly(folder: Path, name: str, text: str) -> None:
    put(folder, name, text)
    check(folder)


@thorough
@given(
    st.sampled_from(FILES), st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8"))
)
def test_files_that_are_anything(folder: Path, name: str, content: bytes) -> None:
    put(folder, name, content)
    check(folder)


@thorough
@given(st.sampled_from(FILES), anything)
@example("netplans/s.yaml", {"infrastructure": {"addressPrefix": "0.0.0.0/0"}})
def test_files_of_yaml_that_is_anything(folder: Path, name: str, content: Any) -> None:
    put(folder, name, yaml.safe_dump(content, allow_unicode=True))
    check(folder)


@thorough
@given(st.data())
def test_sound_files_with_anything_somewhere(folder: Path, data: st.DataObject) -> None:
    """The likeliest garbage is nearly right: one to three values of a sound instance are replaced or dropped."""
    content = copy.deepcopy(SOUND)
    for _ in range(data.draw(st.integers(1, 3))):
        _spoil(content[data.draw(st.sampled_from(sorted(content)))], data)
    write_files(folder, content)
    check(folder)


def _spoil(node: Any, data: st.DataObject) -> None:
    """Walk down to some place below a container, and put something else there."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], dict | list) and data.draw(st.integers(0, 3)):
            node = node[key]
            continue
        match data.draw(st.sampled_from(["replace", "drop", "double", "add"])):
            case "drop":
                del node[key]
            case "double" if isinstance(node, list):
                node.append(copy.deepcopy(node[key]))
            case "add" if isinstance(node, dict):
                node[data.draw(words)] = data.draw(anything)
            case _:
                node[key] = data.draw(anything)
        return


@thorough
@given(st.binary(max_size=200) | anything.map(lambda content: _as_lock(content)))
def test_lock_files_that_are_anything(folder: Path, content: bytes) -> None:
    path = folder / "x.lock.yaml"
    path.write_bytes(content)
    try:
        ADDRESS_LOCK.read(path)
    except SpecError as error:
        assert error.findings
        assert all(finding.path.startswith("netplans/x.lock.yaml") for finding in error.findings)


def _as_lock(content: Any) -> bytes:
    lock = {"version": 1, "addresses": {"10.0.0.1": content}, "vrrpIds": content}
    return yaml.safe_dump(lock, allow_unicode=True).encode("utf-8")
