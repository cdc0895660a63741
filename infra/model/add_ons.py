"""Where azlocal's own add-ons run in a cluster."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

SYSTEM: Final = "kube-system"
METALLB: Final = "metallb-system"
STORAGE: Final = "local-path-storage"

DEFAULT_CLASS: Final = "default"  # as AKS on Azure Local names it
RETAIN_CLASS: Final = "default-retain"
OWN_CLASSES: Final = (DEFAULT_CLASS, RETAIN_CLASS)
"""StorageClasses that every cluster has."""


def add_on_namespaces(add_ons: Container[str]) -> tuple[str, ...]:
    """Return whose workloads make a cluster with these add-ons healthy."""
    return (SYSTEM, *((METALLB,) if "metallb" in add_ons else ()), STORAGE)
