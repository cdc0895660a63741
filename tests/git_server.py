"""A git repository behind real smart HTTP, which Flux pulls from: git's own http-backend."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

_BRANCH = "main"


@dataclass(frozen=True)
class Repository:
    """A repository with one branch, main."""

    url: str
    work: Path

    def commit(self, files: Mapping[str, str | None], message: str = "change") -> str:
        """Write files (None removes one), push, and return the commit's id."""
        for name, text in files.items():
            path = self.work / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", message)
        self._git("push", "--quiet", "origin", _BRANCH)
        return self._git("rev-parse", "HEAD")

    def _git(self, *words: str) -> str:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        done = subprocess.run(
            ["git", *who, *words], cwd=self.work, check=True, capture_output=True, text=True, env=_environment()
        )
        return done.stdout.strip()


def _environment() -> dict[str, str]:
    # Neither this checkout's repository nor the user's settings.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return kept | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


@contextmanager
def served(folder: Path, address: str) -> Iterator[Repository]:
    """Serve an empty repository at an address of this machine, read-only, while the block lasts."""
    bare, work = folder / "repositories" / "app.git", folder / "work"
    subprocess.run(
        ["git", "init", "--quiet", "--bare", f"--initial-branch={_BRANCH}", str(bare)],
        check=True,
        env=_environment(),
    )
    subprocess.run(["git", "clone", "--quiet", str(bare), str(work)], check=True, env=_environment())
    subprocess.run(["git", "checkout", "--quiet", "-B", _BRANCH], cwd=work, check=True, env=_environment())
    server = ThreadingHTTPServer((address, 0), _handler(bare.parent))
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Repository(f"http://{address}:{server.server_port}/{bare.name}", work)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(root: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def log_message(self, format: str, *values: object) -> None:
            """Keep the tests' output free of requests."""

        def _answer(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            environment = _environment() | {
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler
