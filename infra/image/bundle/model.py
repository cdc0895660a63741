"""What a bundle is, and the file that says what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from infra.image.errors import ImageError

Source = Literal["release", "modules"]

BUNDLE_FILE: Final = "bundle.json"
SUMS_FILE: Final = "SHA256SUMS"
SBOM_FILE: Final = "sbom.cdx.json"
FORMAT_FAMILY: Final = "azlocal-bundle/"
_FORMAT: Final = f"{FORMAT_FAMILY}1"


@dataclass(frozen=True)
class Bundle:
    """Everything a cluster is made of beside Debian: also what is carried to an air-gapped site.

    Attributes:
        source: Where it comes from: the projects' downloads, or compiled from Go modules.
        digest: Names everything that decides its content.
        kubernetes_version: Without a `v`.
        folder: Where it is.
        images: Each container image's full reference by its short name (`etcd`, `calico-node`, …).
        charts: Each Helm chart's folder by its name.
        values: The values file that upstream keeps with a chart, by the chart's name.
        files: Each file's size by its path in the folder.
        created: When it was made, in ISO 8601.
    """

    source: Source
    digest: str
    kubernetes_version: str
    folder: Path
    images: Mapping[str, str]
    charts: Mapping[str, Path]
    values: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict, repr=False)
    created: str = ""

    @property
    def name(self) -> str:
        """The name people see."""
        return f"kubernetes-{self.kubernetes_version}-{self.source}-{self.digest[:12]}"

    @property
    def helm(self) -> Path:
        """The Helm program that installs the charts."""
        return self.binary("helm")

    def binary(self, name: str) -> Path:
        """Return a program's path: kubeadm, kubelet, kubectl, containerd, ctr, runc, helm and their like."""
        return self.folder / "binaries" / name

    def archive(self, image: str) -> Path:
        """Return an image's OCI archive."""
        return self.folder / "images" / f"{image}.tar"

    @property
    def archives(self) -> dict[str, str]:
        """Each image's OCI archive by the image's full reference."""
        return {reference: str(self.archive(name)) for name, reference in self.images.items()}

    @property
    def whole(self) -> bool:
        """Whether every file is there in its size."""
        try:
            return all((self.folder / path).stat().st_size == size for path, size in self.files.items())
        except FileNotFoundError:
            return False


def render(bundle: Bundle) -> str:
    """Write a bundle's description."""
    return json.dumps(
        {"format": _FORMAT, **to_json(bundle), "files": dict(sorted(bundle.files.items()))}, indent=2
    )


def to_json(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle's description without its list of files."""
    return {
        "digest": bundle.digest,
        "source": bundle.source,
        "kubernetesVersion": bundle.kubernetes_version,
        "created": bundle.created,
        "images": dict(bundle.images),
        "charts": {name: str(path.relative_to(bundle.folder)) for name, path in bundle.charts.items()},
        "values": {name: str(path.relative_to(bundle.folder)) for name, path in bundle.values.items()},
    }


def from_json(content: Mapping[str, Any], folder: Path) -> Bundle:
    """Read what `to_json` returned, for a bundle that is in `folder` now.

    Raises:
        KeyError: Something is missing.
        ValueError: The source is unknown.
    """
    if content["source"] not in get_args(Source):
        raise ValueError(f"source {content['source']!r}")
    return Bundle(
        source=content["source"],
        digest=content["digest"],
        kubernetes_version=content["kubernetesVersion"],
        folder=folder,
        images=content["images"],
        charts={name: folder / path for name, path in content["charts"].items()},
        values={name: folder / path for name, path in content["values"].items()},
        files=content.get("files", {}),
        created=content["created"],
    )


def parse(text: str, folder: Path) -> Bundle:
    """Read a bundle's description.

    Raises:
        ImageError: It isn't one of this version of azlocal.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']!r}, not {_FORMAT!r}")
        return from_json(content, folder)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(
            f"{folder / BUNDLE_FILE} can't be read: {error!r}.",
            f"Delete {folder}; `azlocal image build` makes it again.",
        ) from error
