"""The way from a cluster's version to the wanted one, minor by minor. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
