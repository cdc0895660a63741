"""How long the steps of a build took on this host, and so how long the rest of one will take."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.files import locked, replace_file
from infra.image.places import Cache

# A first guess, in seconds, for steps that a host hasn't done yet: of one build on two slow processors with other
# work beside it (kubernetes by its processor time, since it waited most). A host's own times take their place.
MEASURED: Final[Mapping[str, float]] = {
    "kubernetes": 560,
    "calico": 240,
    "containerd": 121,
    "runc": 42,
    "metallb": 120,
    "local-path-provisioner": 15,
    "etcd": 30,
    "coredns": 70,
    "helm": 35,
    "flux": 300,
    "Debian packages, base": 60,
    "Debian packages, python": 55,
    "Debian packages, extras": 40,
    "images put together": 22,
    "bill of materials": 2,
    "packages": 98,
    "tree": 6,
    "container images": 31,
    "root file system": 15,
    "checksum": 10,
    "VM disk": 44,
}


def remaining(
    seconds: Mapping[str, float], steps: Iterable[str], beside: Iterable[str] = (), after: Iterable[str] = ()
) -> float:
    """Return how many seconds a build still takes.

    Args:
        seconds: What each step takes; one that isn't there counts for nothing.
        steps: What is done one after the other.
        beside: What is done in the meantime, also one after the other.
        after: What follows when both are done.
    """

    def total(names: Iterable[str]) -> float:
        return sum(seconds.get(name, 0.0) for name in names)

    return max(total(steps), total(beside)) + total(after)


def in_words(seconds: float) -> str:
    """Say how long something still takes: `about 9 minutes remain`."""
    if seconds < 60:
        return "less than a minute remains"
    minutes = round(seconds / 60)
    return "about a minute remains" if minutes == 1 else f"about {minutes} minutes remain"


@dataclass(frozen=True)
class Times:
    """What steps took, kept in one file for all hosts that share a cache."""

    file: Path
    host: str

    @classmethod
    def of(cls, cache: Cache) -> Times:
        """Return this host's times."""
        return cls(cache.root / "times.json", platform.node())

    def seconds(self) -> dict[str, float]:
        """Return each step's seconds: the last ones on this host, or those of the measured build."""
        return {**MEASURED, **self._stored().get(self.host, {})}

    def recorder(self, step: str) -> Callable[[float], None]:
        """Return what keeps a step's seconds."""
        return lambda seconds: self._keep(step, seconds)

    def _stored(self) -> dict[str, dict[str, float]]:
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
            return {
                str(host): {str(step): float(value) for step, value in steps.items()}
                for host, steps in content.items()
            }
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}  # it only serves estimates

    def _keep(self, step: str, seconds: float) -> None:
        # Two threads of one build keep times, and builds of several processes may share a cache.
        with locked(self.file.with_name(f"{self.file.name}.lock")):
            stored = self._stored()
            stored.setdefault(self.host, {})[step] = round(seconds, 1)
            replace_file(self.file, json.dumps(stored, indent=1, sort_keys=True) + "\n")
