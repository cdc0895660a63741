"""The az CLI from PyPI, in a virtual environment of its own: none of its hundred packages meets ours.

    python -m tests.emulator.azure_cli

installs it where it isn't (a minute, 700 MB, once a machine). No test does.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.emulator.daemon import Emulator
from infra.emulator.settings import Folder
from infra.image.places import default_cache

VERSION = "2.91.0"


def _folder() -> Path:
    return default_cache().root / f"azure-cli-{VERSION}-{sys.implementation.cache_tag}"


def installed() -> Path | None:
    """Return the interpreter that has azure-cli, None where it isn't installed."""
    folder = _folder()
    return folder / "bin" / "python" if (folder / "complete").exists() else None


def install() -> None:
    """Install azure-cli where it isn't."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed():
            return
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(["nice", *pip, "--no-input", f"azure-cli=={VERSION}"], check=True)
        (folder / "complete").touch()


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


if __name__ == "__main__":
    install()
