"""Kubernetes versions: what azlocal builds, and what each release of Azure Local offers (VER).

`up` runs what azlocal builds and refuses the rest, so the plan says which of both a version is. What Azure Local
offers is worth a plan of addresses even where it can't run here. One finding names all clusters of a version.
"""

from collections.abc import Callable, Iterator

from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.findings import KeyPath
from infra.spec.kubernetes_versions import BUILT_VERSIONS, is_offered, offered, version_key
from infra.spec.stack import ClusterSpec

NOT_BUILT = "kubernetes-version-not-built"
"""The rule by which `up` refuses what a plan only warns of."""
_BUILT = ", ".join(BUILT_VERSIONS)


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
    """A Kubernetes version is one that azlocal builds or some release of Azure Local offers, or a newer one."""
    release, current = _current(facts)
    for path, version, clusters in _versions(facts):
        if _is_newer(version, current) or is_offered(version) or version in BUILT_VERSIONS:
            continue
        message = f"no release of Azure Local offers Kubernetes {version} ({clusters}), nor does azlocal build it"
        remedy = f"use {_BUILT}, which azlocal builds, or one that {release} offers: {', '.join(current)}"
        yield Fault("stack", path, message, remedy)


@rule(NOT_BUILT, source="azlocal")
def kubernetes_version_not_built(facts: Facts) -> Iterator[Fault]:
    """A cluster that azlocal makes has a version that azlocal builds; a warning where Azure Local offers it."""
    _, current = _current(facts)
    for path, version, clusters in _versions(facts, _is_made_here):
        if version in BUILT_VERSIONS:
            continue
        if is_offered(version):
            message = f"azlocal doesn't build Kubernetes {version} ({clusters}), so `up` refuses it"
            remedy = f"enough for a plan of addresses; to run it here, write {_BUILT}"
            yield Fault("stack", path, message, remedy, "warning")
        elif _is_newer(version, current):
            message = f"Kubernetes {version} ({clusters}) is neither built by azlocal nor known on Azure Local"
            yield Fault("stack", path, message, f"write {_BUILT}, which azlocal builds")


@rule("kubernetes-version-older", source="VER, SUPP", severity="warning")
def kubernetes_version_older(facts: Facts) -> Iterator[Fault]:
    """A new cluster's Kubernetes version is one that the instance's release offers."""
    release, current = _current(facts)
    for path, version, clusters in _versions(facts):
        others = [offer for offer, versions in offered().items() if version in versions]
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
    for path, version, clusters in _versions(facts, lambda cluster: not _is_refused(cluster)):
        if version not in current and _is_newer(version, current):
            message = f"Kubernetes {version} ({clusters}) is newer than what Azure Local {release} offers"
            runs = "azlocal builds it, so it runs here; " if version in BUILT_VERSIONS else ""
            remedy = f"{runs}what carries over to Azure Local is {', '.join(current)}"
            yield Fault("stack", path, message, remedy)


def _is_refused(cluster: ClusterSpec) -> bool:
    """Tell whether nobody is known to run the version: another rule says so."""
    version = cluster.kubernetes_version
    return _is_made_here(cluster) and version not in BUILT_VERSIONS and not is_offered(version)


def _is_made_here(cluster: ClusterSpec) -> bool:
    return cluster.provisioning == "kubernetes"


def _current(facts: Facts) -> tuple[str, tuple[str, ...]]:
    """Return the instance's release and what it offers; the newest one's where none or an unknown is named."""
    known = offered()
    release = facts.spec.stack.azure_local_release
    if release not in known:
        release = max(known)
    return release, known[release]


def _is_newer(version: str, current: tuple[str, ...]) -> bool:
    """Tell whether a version is a later patch of a minor on offer, or beyond the newest minor."""
    key = version_key(version)
    same_minor = [version_key(known) for known in current if version_key(known)[:2] == key[:2]]
    return key > max(same_minor) if same_minor else key > max(version_key(known) for known in current)


def _versions(
    facts: Facts, counts: Callable[[ClusterSpec], bool] = lambda _: True
) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield each version once: where it stands first, the version, which clusters have it.

    Args:
        facts: The instance.
        counts: Which clusters are looked at.
    """
    by_version: dict[str, tuple[KeyPath, list[str]]] = {}
    for path, cluster in facts.clusters:
        if counts(cluster):
            entry = by_version.setdefault(cluster.kubernetes_version, ((*path, "kubernetesVersion"), []))
            entry[1].append(cluster.name)
    for version, (path, names) in by_version.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield path, version, f"cluster {', '.join(names[:3])}{more}"
