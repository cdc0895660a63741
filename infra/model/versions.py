"""The Kubernetes versions that azlocal builds, as data: `versions.json`, the default first.

A new version is an entry there, and `go.mod` and `go.sum` in `infra/image/bundle/modules/kubernetes/<version>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class KubernetesVersion:
    """A version that azlocal builds.

    Attributes:
        version: Three numbers without a `v`.
        published: When the Go module proxy got it, in ISO 8601: the date that its programs show.
        support_ends: The last day of upstream's patches (kubernetes.io/releases/patch-releases).
        release_tags: Tags of the images that upstream runs with it, where they differ from those compiled here
            (`cmd/kubeadm/app/constants/constants.go` of that version).
    """

    version: str
    published: str
    support_ends: date
    release_tags: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def tag(self) -> str:
        """The version as upstream's tags and images have it: `v1.34.4`."""
        return f"v{self.version}"

    @property
    def minor(self) -> str:
        """The second number: `34`."""
        return self.version.split(".")[1]

    def support_note(self, today: date) -> str | None:
        """Return a sentence where upstream no longer patches it; None where it does."""
        if today <= self.support_ends:
            return None
        return f"upstream's support of Kubernetes {self.version} ended on {self.support_ends}; it gets no patches"


@dataclass(frozen=True)
class NodeVersions:
    """Which Kubernetes version the nodes of a cluster have, or are to have, at one time.

    Attributes:
        planes: The control planes'.
        workers: The workers'.
    """

    planes: str
    workers: str


Stage = Mapping[str, NodeVersions]
"""What clusters are to have, by their names, on the way to what their files say."""


def _read() -> tuple[KubernetesVersion, ...]:
    entries = json.loads(Path(__file__).with_name("versions.json").read_text(encoding="utf-8"))
    return tuple(
        KubernetesVersion(
            entry["version"], entry["published"], date.fromisoformat(entry["supportEnds"]), entry["releaseTags"]
        )
        for entry in entries
    )


BUILT: Final = _read()
DEFAULT: Final = BUILT[0]


def built_version(version: str) -> KubernetesVersion:
    """Return the entry of a version.

    Raises:
        KeyError: azlocal doesn't build it.
    """
    for entry in BUILT:
        if entry.version == version:
            return entry
    raise KeyError(version)
