"""How the key of a cluster's Secrets is changed while it stands: the next step, from what is seen. Pure.

The order is Kubernetes' own ("Encrypting Confidential Data at Rest: Rotate a decryption key"): every API server
can read by the new key before the first one writes by it, and none forgets the old one while a Secret is under it.
State counts as one more control plane, since one that is made meanwhile, by another run, is told what state says:
so it learns of the new key before any machine does, and forgets the old one after all of them.

Nothing else is remembered between two steps, so whoever goes on after a kill sees where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Names = tuple[str, ...]
"""Keys by their names, in the order of an EncryptionConfiguration: the first one encrypts, all decrypt."""


@dataclass(frozen=True)
class PlaneKeys:
    """What a control plane has.

    Attributes:
        names: Of the keys in its file.
        is_loaded: Whether its API server was started with that file, and has answered since.
    """

    names: Names
    is_loaded: bool


@dataclass(frozen=True)
class KeysSeen:
    """What a rotation goes by.

    Attributes:
        target: The key that all Secrets are to be under, by its name.
        in_state: What state has for a control plane that is made now.
        planes: By control plane that stands.
        written: Under which keys etcd has Secrets; the empty name stands for those in plain.
    """

    target: str
    in_state: Names
    planes: Mapping[str, PlaneKeys]
    written: frozenset[str]


@dataclass(frozen=True)
class TellState:
    """Have state say what control planes are told that are made from now on."""

    names: Names

    def __str__(self) -> str:
        return f"state has {' and '.join(self.names)} for new control planes"


@dataclass(frozen=True)
class TellPlane:
    """Write a control plane's file, and have its API server start with it."""

    plane: str
    names: Names

    def __str__(self) -> str:
        first, *others = self.names
        reads = f", reads by {' and '.join(others)}, too" if others else ""
        return f"{self.plane}: its API server starts again, writes Secrets by {first}{reads}"


@dataclass(frozen=True)
class RewriteSecrets:
    """Have an API server write every Secret again, by the target."""

    target: str

    def __str__(self) -> str:
        return f"all Secrets are written again, by {self.target}"


Step = TellState | TellPlane | RewriteSecrets


def next_step(seen: KeysSeen) -> Step | None:
    """Return what is to be done next; None where every Secret is under the target, which alone is in use."""
    target, planes = seen.target, sorted(seen.planes.items())
    for name, plane in planes:
        if target not in plane.names:
            return TellPlane(name, (*plane.names, target))
    if _is_over(seen):
        return None
    for name, plane in planes:
        if not plane.is_loaded:
            return TellPlane(name, plane.names)
    if seen.in_state[0] != target:
        return TellState(_first(target, seen.in_state))
    for name, plane in planes:
        if plane.names[0] != target:
            return TellPlane(name, _first(target, plane.names))
    if seen.written - {target}:
        return RewriteSecrets(target)
    for name, plane in planes:
        if plane.names != (target,):
            return TellPlane(name, (target,))
    return TellState((target,))


def _is_over(seen: KeysSeen) -> bool:
    alone = (seen.target,)
    is_alone = seen.in_state == alone and all(plane.names == alone for plane in seen.planes.values())
    return is_alone and seen.written <= {seen.target}


def _first(target: str, names: Names) -> Names:
    return (target, *(name for name in names if name != target))
