"""Known security holes of what bundles and images are made of, compared by versions: data, and what holds.

The data is `known_holes.yaml`. It is no scanner: a hole that isn't listed there isn't seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

_DATA: Final = "known_holes.yaml"
# What a Debian package's version says of the project's own: without epoch, repacking and revision.
_UPSTREAM: Final = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Part:
    """Something that an image or a bundle is made of.

    Attributes:
        name: As its bill of materials or Debian calls it.
        version: Its version, as it is written there.
        debian: Whether it is a Debian package, in which Debian fixes holes without another upstream version.
    """

    name: str
    version: str
    debian: bool = False

    @property
    def comparable(self) -> Version | None:
        """Its version, where that can be compared: not `latest`, and not a commit's."""
        text = _UPSTREAM.match(self.version) if self.debian else None
        try:
            return Version(text[1] if text else self.version.removesuffix("-azlocal"))
        except InvalidVersion:
            return None


@dataclass(frozen=True)
class Hole:
    """A known hole.

    Attributes:
        component: What has it, as people call it.
        names: Its names among parts: each itself, and all that begin with it and a slash.
        id: Its number.
        severity: As its project rates it.
        affected: The ranges of versions that have it.
        what: What comes of it.
        source: Where its project says so.
        stays: Why what this version of azlocal builds has it all the same; empty: it hasn't.
        unused: Whether no program has the part of the library that the hole is in.
    """

    component: str
    names: tuple[str, ...]
    id: str
    severity: str
    affected: tuple[SpecifierSet, ...]
    what: str
    source: str
    stays: str = ""
    unused: bool = False

    def concerns(self, part: Part) -> bool:
        """Return whether a part is the component that this is about."""
        return any(part.name == name or part.name.startswith(f"{name}/") for name in self.names)

    def range_of(self, version: Version) -> SpecifierSet | None:
        """Return the range of affected versions that a version is in; None: it doesn't have the hole."""
        return next((versions for versions in self.affected if versions.contains(version, prereleases=True)), None)


@dataclass(frozen=True)
class Found:
    """A hole that something has.

    Attributes:
        hole: Which.
        part: What has it.
        fixed: The first version without it, of the same branch.
    """

    hole: Hole
    part: Part
    fixed: str

    def __str__(self) -> str:
        """Say what has which hole, what has to come in its place, and why that isn't here."""
        hole = self.hole
        stays = f". It stays: {hole.stays}" if hole.stays else ""
        debian = " (Debian's package: Debian may have fixed it)" if self.part.debian else ""
        return (
            f"{hole.component} {self.part.version}{debian}: {hole.id}, {hole.severity}: {hole.what}; "
            f"fixed in {self.fixed}; {hole.source}{stays}"
        )


@dataclass(frozen=True)
class Holes:
    """All known holes, and the day on which they were all that were known."""

    as_of: str
    entries: tuple[Hole, ...]

    def found_in(self, parts: Iterable[Part]) -> list[Found]:
        """Return what holes parts have, each once for every version of a component."""
        by_hole: dict[tuple[str, str], Found] = {}
        for part in parts:
            version = part.comparable
            for hole in self.entries:
                if version is None or not hole.concerns(part):
                    continue
                affected = hole.range_of(version)
                if affected is not None:
                    by_hole.setdefault((hole.id, str(version)), Found(hole, part, _end_of(affected)))
        return list(by_hole.values())


def _end_of(versions: SpecifierSet) -> str:
    return next(bound.version for bound in versions if bound.operator == "<")


@cache
def known_holes() -> Holes:
    """Return the holes that this version of azlocal knows."""
    return parse((files(__package__) / _DATA).read_text(encoding="utf-8"))


def parse(text: str) -> Holes:
    """Read a list of holes.

    Raises:
        KeyError: Something is missing.
        packaging.specifiers.InvalidSpecifier: A range isn't one.
    """
    content: dict[str, Any] = yaml.safe_load(text)
    return Holes(
        str(content["as_of"]),
        tuple(
            Hole(
                entry["component"],
                tuple(entry.get("names", [entry["component"]])),
                entry["id"],
                entry["severity"],
                tuple(SpecifierSet(versions) for versions in entry["affected"]),
                entry["what"],
                entry["source"],
                entry.get("stays", ""),
                entry.get("unused", False),
            )
            for entry in content["holes"]
        ),
    )


def parts_of_bill(text: str) -> list[Part]:
    """Return the programs, container images and Go modules that a bill of materials (CycloneDX, JSON) names."""
    content: dict[str, Any] = json.loads(text)
    return [
        Part(entry["name"], entry.get("version", ""))
        for entry in content.get("components", [])
        if counts(entry["type"], entry.get("purl", ""))
    ]


def counts(type: str, purl: str) -> bool:
    """Return whether holes of such a component may be known: of Debian's packages in images, Debian tells."""
    return type in {"application", "container"} or purl.startswith("pkg:golang/")


def parts_of_packages(packages: Mapping[str, str]) -> list[Part]:
    """Return Debian's packages, of their versions by name, as parts."""
    return [Part(name, version, debian=True) for name, version in packages.items()]
