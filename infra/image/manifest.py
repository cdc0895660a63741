"""The manifest beside an image's artefacts: what they are, and what is inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from infra.image.bundle.model import from_json, to_json
from infra.image.model import Artifact, ImageError, NodeImage

MANIFEST: Final = "manifest.json"
CONTAINER_FILE: Final = "root.ext4"
VM_FILE: Final = "disk.qcow2"
FORMAT_FAMILY: Final = "azlocal-node-image/"
_FORMAT: Final = f"{FORMAT_FAMILY}2"


def render(image: NodeImage, created: str, packages: dict[str, str]) -> str:
    """Write a manifest."""
    content = {
        "format": _FORMAT,
        "name": image.name,
        "digest": image.digest,
        "created": created,
        "bundle": to_json(image.bundle) if image.bundle else None,
        "artifacts": {
            "container": _artifact_to_json(image.container),
            **({"vm": _artifact_to_json(image.vm)} if image.vm else {}),
        },
        "packages": dict(sorted(packages.items())),
    }
    return json.dumps(content, indent=2) + "\n"


def packages_in(text: str) -> dict[str, str]:
    """Return the versions of the Debian packages that a manifest names."""
    return dict(json.loads(text).get("packages", {}))


def with_disk(text: str, disk: Artifact) -> str:
    """Write a manifest that was read, and to whose image a VM's disk has come."""
    content: dict[str, Any] = json.loads(text)
    content["artifacts"]["vm"] = _artifact_to_json(disk)
    return json.dumps(content, indent=2) + "\n"


def _artifact_to_json(artifact: Artifact) -> dict[str, object]:
    return {
        "file": artifact.path.name,
        "sha256": artifact.sha256,
        "format": artifact.format,
        "virtualSize": artifact.virtual_size,
        "fileSize": artifact.file_size,
    }


def parse(text: str, folder: Path, bundles: Path) -> tuple[NodeImage, str]:
    """Read a manifest.

    Args:
        text: What it says.
        folder: Where it was found: the image's folder.
        bundles: Where the bundles are.

    Returns:
        The image, with its artefacts in `folder`, and when it was made.

    Raises:
        ImageError: It isn't a manifest of this version of azlocal.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != _FORMAT:
            raise _unreadable(folder, f"format {content['format']!r}, not {_FORMAT!r}")
        artifacts, bundle = content["artifacts"], content["bundle"]
        image = NodeImage(
            name=content["name"],
            digest=content["digest"],
            container=_artifact_from_json(artifacts["container"], folder),
            vm=_artifact_from_json(artifacts["vm"], folder) if "vm" in artifacts else None,
            bundle=from_json(bundle, bundles / bundle["digest"]) if bundle else None,
        )
        return image, content["created"]
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(folder, repr(error)) from error


def _artifact_from_json(content: dict[str, Any], folder: Path) -> Artifact:
    return Artifact(
        path=folder / content["file"],
        sha256=content["sha256"],
        format=content["format"],
        virtual_size=content["virtualSize"],
        file_size=content["fileSize"],
    )


def _unreadable(folder: Path, reason: str) -> ImageError:
    return ImageError(
        f"{folder / MANIFEST} can't be read: {reason}.",
        f"Delete {folder}; `azlocal image build` makes it again.",
    )
