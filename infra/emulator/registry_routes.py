"""The registry's part of the OCI distribution API that Helm and its like use: pull, and list tags."""

from __future__ import annotations

import hashlib
from typing import Final

from starlette.routing import Route

from infra.emulator.http import Answer, Request
from infra.emulator.registry import MANIFEST_TYPE
from infra.emulator.routes import route
from infra.emulator.world import World

_API: Final = {"docker-distribution-api-version": "registry/2.0"}


def routes(world: World) -> list[Route]:
    """Return the registry's routes."""
    known = [
        ("/v2/", _base),
        ("/v2/{repository:path}/manifests/{reference}", _manifest),
        ("/v2/{repository:path}/blobs/{digest}", _blob),
        ("/v2/{repository:path}/tags/list", _tags),
    ]
    return [route(world, path, handler, ["GET", "HEAD"]) for path, handler in known]


def _base(_world: World, _request: Request) -> Answer:
    return Answer(200, {}, _API)


def _manifest(world: World, request: Request) -> Answer:
    repository, reference = request.path_parameters["repository"], request.path_parameters["reference"]
    manifest = world.registry.manifest(repository, reference)
    if manifest is None:
        return _missing("MANIFEST_UNKNOWN", f"manifest tagged by {reference!r} is not found in {repository!r}")
    content, digest = manifest
    return _content(request, content, {"content-type": MANIFEST_TYPE, "docker-content-digest": digest})


def _blob(world: World, request: Request) -> Answer:
    repository, digest = request.path_parameters["repository"], request.path_parameters["digest"]
    content = world.registry.blob(repository, digest)
    if content is None:
        return _missing("BLOB_UNKNOWN", f"blob {digest!r} is unknown in {repository!r}")
    headers = {"content-type": "application/octet-stream", "docker-content-digest": digest}
    return _content(request, content, headers)


def _tags(world: World, request: Request) -> Answer:
    repository = request.path_parameters["repository"]
    tags = world.registry.tags(repository)
    if tags is None:
        return _missing("NAME_UNKNOWN", f"repository name {repository!r} is not known to the registry")
    return Answer(200, {"name": repository, "tags": tags}, _API)


def _content(request: Request, content: bytes, headers: dict[str, str]) -> Answer:
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    shown = {**_API, **headers, "etag": etag, "content-length": str(len(content))}
    return Answer(200, b"" if request.method == "HEAD" else content, shown)


def _missing(code: str, message: str) -> Answer:
    return Answer(404, {"errors": [{"code": code, "message": message}]}, _API)
