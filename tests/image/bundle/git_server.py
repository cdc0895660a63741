"""A git repository on loopback, served by git's own program behind HTTP."""

from __future__ import annotations

import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Repository:
    """A repository, its working copy, and its server."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self._served = folder / "served"
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self._served / "app.git"), at=folder)
        self._git("clone", "--quiet", str(self._served / "app.git"), str(self.work), at=folder)
        self._git("checkout", "--quiet", "-B", "main")
        handler = type("Handler", (_GitHandler,), {"root": self._served})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/app.git"

    def commit(self, files: dict[str, str | None]) -> str:
        """Write files, or remove those that are None, and push them; return the commit."""
        for name, content in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)
        self._git("add", "--all")
        author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        self._git(*author, "commit", "--quiet", "--message", "change")
        self._git("push", "--quiet", "origin", "main")
        return self._git("rev-parse", "HEAD")

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        argv = ["git", *arguments]
        done = subprocess.run(argv, cwd=at or self.work, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class _GitHandler(BaseHTTPRequestHandler):
    root: Path

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200 OK").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
