"""The az CLI from PyPI, in a virtual environment of its own: none of its hundred packages meets ours."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.arc.emulator.daemon import Emulator
from infra.arc.emulator.settings import Folder

VERSION = "2.91.0"


def installed() -> Path:
    """Return the interpreter that has azure-cli; install it where it isn't (a minute, 700 MB, once)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "azlocal"
    folder = cache / f"azure-cli-{VERSION}-{sys.implementation.cache_tag}"
    folder.mkdir(parents=True, exist_ok=True)
    python, complete = folder / "bin" / "python", folder / "complete"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
            packages = [f"azure-cli=={VERSION}"]
            subprocess.run(["nice", str(python), "-m", "pip", "install", *quiet, *packages], check=True)
            complete.touch()
    return python


class AzFailed(Exception):
    """The az CLI refuses; its own words."""


@dataclass(frozen=True)
class Az:
    """The az CLI as somebody uses it who has typed `eval "$(azlocal emulator env)"`."""

    python: Path
    emulator: Emulator
    folder: Path

    def __call__(self, *arguments: str) -> Any:
        """Run a command; return what it prints, as JSON."""
        done = subprocess.run(
            [str(self.python), "-m", "azure.cli", *arguments, "--output", "json", "--only-show-errors"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise AzFailed(done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def login(self, secret: str | None = None) -> Any:
        """Log in as the emulator's service principal; its secret comes from a file, not from the arguments."""
        client = Folder(self.emulator.folder).client()
        file = self.folder / "secret"
        file.touch(0o600)
        file.write_text(secret or client.client_secret)
        return self(
            *("login", "--service-principal", "--tenant", client.tenant_id),
            *("--username", client.client_id, "--password", f"@{file}"),
        )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AZURE_CONFIG_DIR": str(self.folder / "az"),
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "REQUESTS_CA_BUNDLE": str(self.emulator.ca_file),
        }
