"""An OCI registry that serves Helm charts: packed from files when they are asked for, the same bytes each time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE: Final = "application/vnd.cncf.helm.config.v1+json"
_LAYER_TYPE: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@dataclass(frozen=True)
class Chart:
    """One version of a chart.

    Attributes:
        files: contents by path within the chart: `Chart.yaml`, `templates/agents.yaml`. The version that
            Chart.yaml names is the tag.
    """

    files: Mapping[str, bytes] = field(repr=False)

    @staticmethod
    def of_folder(folder: Path, extra: Mapping[str, bytes] | None = None) -> Chart:
        """Read a chart's folder; `extra` adds files, or replaces some of the folder's."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
        return Chart({**files, **(extra or {})})

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What Chart.yaml says."""
        content: dict[str, Any] = yaml.safe_load(self.files["Chart.yaml"])
        return content

    @property
    def version(self) -> str:
        """Its version, which is its tag (OCI has no `+`: Helm writes `_`)."""
        return str(self.metadata["version"]).replace("+", "_")

    @cached_property
    def package(self) -> bytes:
        """The chart as `helm package` packs it, without times: the same files give the same bytes."""
        target = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            # Helm wants Chart.yaml first.
            for path in sorted(self.files, key=lambda name: (name != "Chart.yaml", name)):
                entry = tarfile.TarInfo(str(PurePosixPath(self.metadata["name"], path)))
                entry.size, entry.mode = len(self.files[path]), 0o644
                archive.addfile(entry, io.BytesIO(self.files[path]))
        return target.getvalue()


# What a repository has, by name (`azurearck8s/batch1/stable/v2/azure-arc-k8sagents`): called at each request, so
# it should keep what it has read. The last one is the newest.
Charts = Callable[[], Sequence[Chart]]


@dataclass(frozen=True)
class _Blob:
    content: bytes = field(repr=False)
    media_type: str

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


class Registry:
    """Answers what Helm asks of a registry: manifests, blobs, tags."""

    def __init__(self, repositories: Mapping[str, Charts]) -> None:
        self._repositories = dict(repositories)
        self._blobs: dict[tuple[str, str], _Blob] = {}

    def tags(self, repository: str) -> list[str] | None:
        """Return a repository's tags, the newest last; None: no such repository."""
        charts = self._repositories.get(repository)
        return [chart.version for chart in charts()] if charts else None

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str] | None:
        """Return a manifest and its digest, by tag or digest."""
        for chart in self._charts(repository):
            manifest = self._manifest(repository, chart)
            if reference in (chart.version, manifest.digest):
                return manifest.content, manifest.digest
        return None

    def blob(self, repository: str, digest: str) -> bytes | None:
        """Return a blob by digest."""
        if (repository, digest) not in self._blobs:
            for chart in self._charts(repository):  # after a restart a client may go on where it was
                self._manifest(repository, chart)
        blob = self._blobs.get((repository, digest))
        return blob.content if blob else None

    def _charts(self, repository: str) -> Sequence[Chart]:
        charts = self._repositories.get(repository)
        return charts() if charts else ()

    def _manifest(self, repository: str, chart: Chart) -> _Blob:
        config = _Blob(json.dumps(chart.metadata, sort_keys=True).encode(), _CONFIG_TYPE)
        layer = _Blob(chart.package, _LAYER_TYPE)
        for blob in (config, layer):
            self._blobs[repository, blob.digest] = blob
        content = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
            "annotations": {
                "org.opencontainers.image.title": chart.metadata["name"],
                "org.opencontainers.image.version": chart.version,
            },
        }
        return _Blob(json.dumps(content, sort_keys=True).encode(), MANIFEST_TYPE)
