from __future__ import annotations

import json

import pytest
from packaging.version import Version

from infra.image.bundle.components import components
from infra.image.known_holes import (
    Holes,
    Part,
    known_holes,
    parse,
    parts_of_bill,
    parts_of_packages,
)
from tests.project import ROOT

LIST = """
as_of: 2026-01-02
holes:
  - component: runner
    id: CVE-1
    severity: high
    affected: ["<1.2.8", ">=1.3.0rc1,<1.3.3"]
    what: gets out
    source: https://example.com/1
  - component: storage
    names: [storage, docker.io/example/storage]
    id: CVE-2
    severity: low
    affected: ["<0.0.34"]
    what: writes elsewhere
    source: https://example.com/2
"""


@pytest.fixture
def holes() -> Holes:
    return parse(LIST)


@pytest.mark.parametrize(
    ("version", "fixed"),
    [
        ("v1.1.5", "1.2.8"),
        ("1.2.8-rc.1", None),  # what comes before a version isn't before it, as PEP 440 has it
        ("v1.2.8", None),
        ("v1.3.0-rc.1", "1.3.3"),
        ("v1.3.2", "1.3.3"),
        ("v1.3.3", None),
        ("v1.4.4", None),
        ("v1.1.5-azlocal", "1.2.8"),
        # Not to be compared, and so nothing is said.
        ("latest", None),
        ("v0.0.0-20250101000000-0123456789ab", None),
    ],
)
def test_a_version_is_in_a_range_or_not(holes: Holes, version: str, fixed: str | None) -> None:
    found = holes.found_in([Part("runner/program", version)])
    assert [one.fixed for one in found] == ([fixed] if fixed else [])


def test_debian_s_versions_count_by_the_project_s_own(holes: Holes) -> None:
    (found,) = holes.found_in(parts_of_packages({"runner": "1:1.1.5+ds1-1+deb12u1", "runner-doc": "1.0-1"}))
    assert str(found) == (
        "runner 1:1.1.5+ds1-1+deb12u1 (Debian's package: Debian may have fixed it): CVE-1, high: gets out; "
        "fixed in 1.2.8; https://example.com/1"
    )


def test_a_program_and_its_image_have_a_hole_once(holes: Holes) -> None:
    bill = {
        "components": [
            {"type": "application", "name": "storage/storage", "version": "v0.0.30"},
            {"type": "container", "name": "docker.io/example/storage", "version": "v0.0.30"},
            {"type": "container", "name": "docker.io/example/storage-more", "version": "v0.0.1"},
            {"type": "library", "name": "runner", "version": "v1.0.0"},
        ]
    }
    (found,) = holes.found_in(parts_of_bill(json.dumps(bill)))
    assert str(found).startswith("storage v0.0.30: CVE-2, low: ")


def test_a_release_s_bill_names_the_image_alone(holes: Holes) -> None:
    bill = {"components": [{"type": "container", "name": "docker.io/example/storage", "version": "v0.0.33"}]}
    assert [one.hole.id for one in holes.found_in(parts_of_bill(json.dumps(bill)))] == ["CVE-2"]


def test_what_the_bundle_is_made_of_has_no_known_hole() -> None:
    parts = [Part(entry.name, entry.version) for entry in components()]
    assert list(map(str, known_holes().found_in(parts))) == []


def test_debian_12_s_runc_and_containerd_have() -> None:
    old = {"runc": "1.1.5+ds1-1+deb12u1", "containerd": "1.6.20~ds1-1+deb12u3"}
    found = {one.hole.id for one in known_holes().found_in(parts_of_packages(old))}
    assert {"CVE-2024-21626", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881", "CVE-2024-25621"} <= found


def test_the_documentation_has_the_holes_that_stay() -> None:
    lines = (ROOT / "docs/understand.md").read_text().splitlines()
    staying = [one for one in known_holes().entries if one.stays]
    assert [
        line for line in lines if line.startswith("|") and "](https://github.com/" in line and "CVE-" in line
    ] == [
        f"| {one.component} | [{one.id}]({one.source}) | {one.severity} | {one.what} | {one.stays} |"
        for one in staying
    ]


def test_a_hole_that_stays_is_told_with_the_reason_and_only_of_go_modules() -> None:
    holes = parse(LIST + "    stays: nobody fixed it\n")
    bill = {
        "components": [
            {"type": "library", "name": "storage", "version": "v0.0.30", "purl": "pkg:golang/storage@v0.0.30"},
            {"type": "library", "name": "storage", "version": "0.0.29", "purl": "pkg:deb/debian/storage@0.0.29"},
        ]
    }
    (found,) = holes.found_in(parts_of_bill(json.dumps(bill)))
    assert str(found).endswith("fixed in 0.0.34; https://example.com/2. It stays: nobody fixed it")


def test_the_list_is_sound() -> None:
    for hole in known_holes().entries:
        assert hole.severity in {"low", "medium", "high", "critical", "unrated"}
        assert hole.source.startswith("https://github.com/")
        # Every range ends, and a version that ends one is in none.
        for affected in hole.affected:
            (end,) = [one.version for one in affected if one.operator == "<"]
            assert hole.range_of(Version(end)) is None
        assert bool(hole.stays) >= hole.unused, "an unused part has its reason, too"


def test_what_stays_names_the_versions_that_are_built() -> None:
    """A newer Kubernetes or Calico may have fixed it: then its entry goes, or its reason is another."""
    built = {one.version for one in components()}
    named = {word.rstrip(",") for one in known_holes().entries for word in one.stays.split() if word[0] == "v"}
    assert {one for one in named if one[1].isdigit()} <= built
