"""The bundle's bill of materials, in CycloneDX, with what is known of security holes in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cyclonedx.model import HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.impact_analysis import ImpactAnalysisJustification, ImpactAnalysisState
from cyclonedx.model.vulnerability import (
    BomTarget,
    Vulnerability,
    VulnerabilityAdvisory,
    VulnerabilityAnalysis,
    VulnerabilityRating,
    VulnerabilitySeverity,
)
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from infra.image.bundle.inventory import Inventory
from infra.image.bundle.model import Bundle
from infra.image.known_holes import Found, Hole, Holes, Part, counts

_DISTRIBUTION: Final = {"arch": "amd64", "distro": "bookworm"}


@dataclass(frozen=True)
class GoModule:
    """A module in a program."""

    path: str
    version: str


def go_modules(information: Mapping[str, Any]) -> list[GoModule]:
    """Return the modules that `go version -m -json` tells of a program; the standard library is one."""
    found = [GoModule("std", information["GoVersion"].removeprefix("go").split()[0])]
    for entry in [information.get("Main"), *(information.get("Deps") or [])]:
        used = (entry.get("Replace") or entry) if entry else None
        # A program's own module has no version when it is a folder, as ours are.
        if used and used.get("Version") not in (None, "", "(devel)"):
            found.append(GoModule(used["Path"], used["Version"]))
    return found


def render(
    bundle: Bundle,
    inventory: Inventory,
    modules: Mapping[str, Iterable[GoModule]],
    sha256: Mapping[str, str],
    holes: Holes,
) -> str:
    """Write the bill of materials.

    Args:
        bundle: What it is about.
        inventory: What is in it.
        modules: The Go modules in each program.
        sha256: Of the bundle's files, by path.
        holes: The known security holes; those that something in it has are named.
    """
    whole = Component(
        name=bundle.name, version=bundle.kubernetes_version, type=ComponentType.APPLICATION, bom_ref=bundle.name
    )
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"azlocal:{bundle.digest}"),
        metadata=BomMetaData(component=whole, timestamp=datetime.fromisoformat(bundle.created)),
    )
    parts = _Parts(bom)
    for name, program in inventory.programs.items():
        path = f"binaries/{name.rpartition('/')[2]}"
        entry = parts.add(
            Component(
                name=name,
                version=program.version,
                type=ComponentType.APPLICATION,
                bom_ref=f"program:{name}",
                hashes=_hashes(sha256.get(path)),
            )
        )
        held = [parts.go(module) for module in modules.get(name, ())]
        held += [parts.library(library, version) for library, version in program.libraries.items()]
        bom.register_dependency(entry, held)
    top = [parts.by_ref[f"program:{name}"] for name in inventory.programs]
    for name, reference in bundle.images.items():
        repository, _, tag = reference.rpartition(":")
        image = parts.add(
            Component(
                name=repository,
                version=tag,
                type=ComponentType.CONTAINER,
                bom_ref=f"image:{name}",
                hashes=_hashes(sha256.get(f"images/{name}.tar")),
            )
        )
        content = inventory.images.get(name)
        if content:
            held = [parts.by_ref[f"program:{program}"] for program in content.programs]
            held += [parts.debian(package, version) for package, version in content.packages.items()]
            bom.register_dependency(image, held)
        top.append(image)
    bom.register_dependency(whole, top)
    bom.vulnerabilities.update(_vulnerabilities(bom, holes))
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_5).output_as_string(indent=1)


def _vulnerabilities(bom: Bom, holes: Holes) -> Iterable[Vulnerability]:
    found: dict[str, list[tuple[str, Found]]] = {}
    for component in bom.components:
        if counts(component.type.value, str(component.purl or "")):
            for one in holes.found_in([Part(component.name, component.version or "")]):
                found.setdefault(one.hole.id, []).append((str(component.bom_ref.value), one))
    for id, having in found.items():
        hole = having[0][1].hole
        severity = hole.severity if hole.severity != "unrated" else "unknown"
        yield Vulnerability(
            bom_ref=f"hole:{id}",
            id=id,
            ratings=[VulnerabilityRating(severity=VulnerabilitySeverity(severity))],
            description=f"{hole.component}: {hole.what}",
            recommendation=f"fixed in {', '.join(sorted({one.fixed for _, one in having}))}",
            advisories=[VulnerabilityAdvisory(url=XsUri(hole.source))],
            analysis=_analysis(hole),
            affects=[BomTarget(ref=reference) for reference, _ in having],
        )


def _analysis(hole: Hole) -> VulnerabilityAnalysis:
    if hole.unused:
        justification = ImpactAnalysisJustification.CODE_NOT_PRESENT
        return VulnerabilityAnalysis(
            state=ImpactAnalysisState.NOT_AFFECTED, justification=justification, detail=hole.stays
        )
    return VulnerabilityAnalysis(state=ImpactAnalysisState.IN_TRIAGE, detail=hole.stays or None)


def _hashes(sha256: str | None) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []


class _Parts:
    """The components of a bill of materials, each once."""

    def __init__(self, bom: Bom) -> None:
        self._bom = bom
        self.by_ref: dict[str, Component] = {}

    def add(self, component: Component) -> Component:
        reference = str(component.bom_ref.value)
        if reference not in self.by_ref:
            self.by_ref[reference] = component
            self._bom.components.add(component)
        return self.by_ref[reference]

    def go(self, module: GoModule) -> Component:
        namespace, _, name = module.path.rpartition("/")
        purl = PackageURL(type="golang", namespace=namespace or None, name=name, version=module.version)
        return self._library(module.path, module.version, purl)

    def debian(self, package: str, version: str) -> Component:
        purl = PackageURL(type="deb", namespace="debian", name=package, version=version, qualifiers=_DISTRIBUTION)
        return self._library(package, version, purl)

    def library(self, name: str, version: str) -> Component:
        return self._library(name, version, PackageURL(type="generic", name=name, version=version))

    def _library(self, name: str, version: str, purl: PackageURL) -> Component:
        return self.add(
            Component(name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=purl.to_string())
        )
