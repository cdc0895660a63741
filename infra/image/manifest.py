"""The manifest beside an image's artefacts: what they are, and what is inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from infra.image.model import Artifact, ImageError, NodeImage

MANIFEST: Final = "manifest.json"
CONTAINER_FILE: Final = "root.ext4"
VM_FILE: Final = "disk.qcow2"
_FORMAT: Final = "azlocal-node-image/1"


def render(image: NodeImage, created: str, packages: dict[str, str]) -> str:
    """Write a manifest."""
    content = {
        "format": _FORMAT,
        "name": image.name,
        "digest": image.digest,
        "created": created,
        "artifacts": {"container": _to_json(image.container), "vm": _to_json(image.vm)},
        "packages": dict(sorted(packages.items())),
    }
    return json.dumps(content, indent=2) + "\n"


def _to_json(artifact: Artifact) -> dict[str, object]:
    return {
        "file": artifact.path.name,
        "sha256": artifact.sha256,
        "format": artifact.format,
        "virtualSize": artifact.virtual_size,
        "fileSize": artifact.file_size,
    }


def parse(text: str, folder: Path) -> tuple[NodeImage, str]:
    """Read a manifest.

    Returns:
        The image, with its artefacts in `folder`, and when it was made.

    Raises:
        ImageError: It isn't a manifest of this version of azlocal.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != _FORMAT:
            raise _unreadable(folder, f"format {content['format']!r}, not {_FORMAT!r}")
        artifacts = content["artifacts"]
        image = NodeImage(
            name=content["name"],
            digest=content["digest"],
            container=_from_json(artifacts["container"], folder),
            vm=_from_json(artifacts["vm"], folder),
        )
        return image, content["created"]
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(folder, repr(error)) from error


def _from_json(content: dict[str, Any], folder: Path) -> Artifact:
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
