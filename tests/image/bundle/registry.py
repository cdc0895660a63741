"""A registry on loopback that serves images from OCI layouts, as far as a client that pulls needs it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Layout:
    """An OCI layout's blobs, and which tag of which name is which manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tags: dict[tuple[str, str], str] = {}

    def add(self, content: bytes) -> tuple[str, int]:
        """Keep a blob; return its digest and size."""
        digest = hashlib.sha256(content).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / digest).write_bytes(content)
        return f"sha256:{digest}", len(content)

    def add_image(self, name: str, tag: str, files: dict[str, bytes]) -> None:
        """Make an image of one layer."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            for path, content in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        digest, size = self.add(layer.getvalue())
        config = {"architecture": "amd64", "os": "linux", "config": {}}
        config |= {"rootfs": {"type": "layers", "diff_ids": [digest]}}
        config_digest, config_size = self.add(json.dumps(config).encode())
        kind = "application/vnd.oci.image"
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": f"{kind}.config.v1+json", "digest": config_digest, "size": config_size},
            "layers": [{"mediaType": f"{kind}.layer.v1.tar", "digest": digest, "size": size}],
        }
        self.tags[name, tag] = self.add(json.dumps(manifest).encode())[0]

    def add_archive(self, name: str, tag: str, archive: Path) -> None:
        """Take an image from an OCI archive."""
        with tarfile.open(archive) as opened:
            for member in opened.getmembers():
                content = opened.extractfile(member)
                if content and "blobs/" in member.name:
                    self.add(content.read())
            index = opened.extractfile("index.json")
            assert index
            self.tags[name, tag] = json.load(index)["manifests"][0]["digest"]


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, layout: Layout, *arguments: object) -> None:
        self._layout = layout
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        parts = self.path.removeprefix("/v2/").split("/")
        content, kind = b"{}", "application/json"
        if len(parts) > 2:
            name, what, reference = "/".join(parts[:-2]), parts[-2], parts[-1]
            digest = self._layout.tags.get((name, reference), reference)
            path = self._layout.folder / digest.removeprefix("sha256:")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            kind = _MANIFEST if what == "manifests" else "application/octet-stream"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def serving_images(layout: Layout) -> Iterator[str]:
    """Serve a layout; give the registry's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, layout))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
