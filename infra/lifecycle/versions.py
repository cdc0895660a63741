"""The way from a cluster's version to the wanted one, minor by minor. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from infra.model.versions import NodeVersions, Stage

KUBELET_SKEW = 3
"""How many minors a kubelet may be older than the API server (kubernetes.io/releases/version-skew-policy, and
kubeadm's `cmd/kubeadm/app/phases/upgrade/policy.go`, MaximumAllowedMinorVersionKubeletSkew)."""


def order(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by."""
    return tuple(int(part) for part in version.split("."))


def minor(version: str) -> int:
    """Return the second number. Kubernetes has had the first one since 2015."""
    return order(version)[1]


def missing_minors(old: str, new: str, builds: Iterable[str]) -> list[str]:
    """Return the minors between two versions of which no build can be had, as `1.33`."""
    there = {minor(version) for version in builds}
    return [f"1.{number}" for number in range(minor(old) + 1, minor(new)) if number not in there]


def next_version(old: str, new: str, builds: Mapping[str, str]) -> str:
    """Return the version to go to next: the wanted one, or the newest build of the minor after this one.

    Cluster API goes the same way (`docs/proposals/20250513-chained-and-efficient-upgrades-for-clusters-with-
    managed-topologies.md`): a control plane passes each minor, workers skip those that the skew policy lets them.
    """
    if minor(new) <= minor(old) + 1:
        return new
    return max((version for version in builds if minor(version) == minor(old) + 1), key=order, default=new)


def passed(version: str, final: str, builds: Iterable[str]) -> Iterator[str]:
    """Yield the versions of control planes from the next one to the last, both included."""
    available = {each: each for each in builds}
    while version != final:
        yield version
        version = next_version(version, final, available)
    yield final


def stages(standing: Stage, wanted: Mapping[str, str], builds: Mapping[str, str]) -> Iterator[Stage]:
    """Yield what clusters are to have in one run after the other; in the last one, what is wanted.

    Control planes pass every minor. Workers skip those that they may: each is replaced, with its pods, as rarely
    as the skew policy lets it.

    Args:
        standing: What clusters have; one that isn't named is new.
        wanted: The version that each cluster is to have, by its name.
        builds: By version, what of it can be had.
    """
    while True:
        stage = {
            name: _next(standing.get(name, NodeVersions(version, version)), version, builds)
            for name, version in wanted.items()
        }
        yield stage
        if all(versions == NodeVersions(wanted[name], wanted[name]) for name, versions in stage.items()):
            return
        standing = stage


def _next(standing: NodeVersions, wanted: str, builds: Mapping[str, str]) -> NodeVersions:
    planes = next_version(standing.planes, wanted, builds)
    if minor(planes) - minor(standing.workers) > KUBELET_SKEW:  # a run was killed before workers came after
        return NodeVersions(standing.planes, standing.planes)
    if planes == wanted:
        return NodeVersions(wanted, wanted)
    is_too_old_then = minor(planes) + 1 - minor(standing.workers) > KUBELET_SKEW
    return NodeVersions(planes, planes if is_too_old_then else standing.workers)
