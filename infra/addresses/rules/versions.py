"""Kubernetes versions, as kubernetes_versions.json lists them by release of Azure Local, newest first (VER).

A new release is a new entry there. Versions newer than the list are a warning: the list may be the older of the
two, and machines here run what their image carries. One finding names all clusters of a version.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from infra.addresses.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath

Version = tuple[int, ...]

_FILE = Path(__file__).with_name("kubernetes_versions.json")


@cache
def offered() -> dict[str, tuple[str, ...]]:
    """Return the versions that each release of Azure Local offers, the newest release's first."""
    entries = json.loads(_FILE.read_text(encoding="utf-8"))
    return {release: tuple(entry["versions"]) for entry in entries for release in entry["releases"][::-1]}


@rule("unknown-release", source="VER", severity="warning")
def unknown_release(facts: Facts) -> Iterator[Fault]:
    """The release of Azure Local is one whose Kubernetes versions are known."""
    release = facts.spec.stack.azure_local_release
    if release is not None and release not in offered():
        message = f"the Kubernetes versions of Azure Local {release} are not known here"
        remedy = f"use one of {', '.join(sorted(offered()))}, or add it to kubernetes_versions.json"
        yield Fault("stack", ("azureLocalRelease",), message, remedy)


@rule("kubernetes-version-unsupported", source="VER, NEW")
def kubernetes_version_unsupported(facts: Facts) -> Iterator[Fault]:
    """A Kubernetes version is one that some release of Azure Local offers, or a newer one."""
    release, current = _current(facts)
    for path, version, clusters in _versions(facts):
        if _is_newer(version, current) or any(version in versions for versions in offered().values()):
            continue
        message = f"no release of Azure Local offers Kubernetes {version} ({clusters})"
        yield Fault("stack", path, message, f"use one that {release} offers: {', '.join(current)}")


@rule("kubernetes-version-older", source="VER, SUPP", severity="warning")
def kubernetes_version_older(facts: Facts) -> Iterator[Fault]:
    """A new cluster's Kubernetes version is one that the instance's release offers."""
    release, current = _current(facts)
    for path, version, clusters in _versions(facts):
        others = [one for one, versions in offered().items() if version in versions]
        if version in current or not others or _is_newer(version, current):
            continue
        message = (
            f"Kubernetes {version} ({clusters}) was last offered by Azure Local {max(others)}; on {release} a "
            "cluster can keep it, but none can be made with it"
        )
        remedy = f"use one of {', '.join(current)}, or name the instance's azureLocalRelease"
        yield Fault("stack", path, message, remedy)


@rule("kubernetes-version-newer", source="VER, NEW", severity="warning")
def kubernetes_version_newer(facts: Facts) -> Iterator[Fault]:
    """A Kubernetes version is not newer than what Azure Local is known to offer."""
    release, current = _current(facts)
    for path, version, clusters in _versions(facts):
        if version not in current and _is_newer(version, current):
            message = f"Kubernetes {version} ({clusters}) is newer than what Azure Local {release} offers"
            remedy = f"it runs here; what carries over to Azure Local is {', '.join(current)}"
            yield Fault("stack", path, message, remedy)


def _current(facts: Facts) -> tuple[str, tuple[str, ...]]:
    """Return the instance's release and what it offers; the newest one's where none or an unknown is named."""
    known = offered()
    release = facts.spec.stack.azure_local_release
    if release not in known:
        release = max(known)
    return release, known[release]


def _is_newer(version: str, current: tuple[str, ...]) -> bool:
    """Tell whether a version is a later patch of a minor on offer, or beyond the newest minor."""
    parts = _parts(version)
    same_minor = [_parts(one) for one in current if _parts(one)[:2] == parts[:2]]
    return parts > max(same_minor) if same_minor else parts > max(_parts(one) for one in current)


def _parts(version: str) -> Version:
    return tuple(int(part) for part in version.split("."))


def _versions(facts: Facts) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield each version once: where it stands first, the version, which clusters have it."""
    found: dict[str, tuple[KeyPath, list[str]]] = {}
    for path, cluster in facts.clusters:
        entry = found.setdefault(cluster.kubernetes_version, ((*path, "kubernetesVersion"), []))
        entry[1].append(cluster.name)
    for version, (path, names) in found.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield path, version, f"cluster {', '.join(names[:3])}{more}"
