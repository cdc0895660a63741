"""A stack as its backend keeps it: read from the files where these are the backend, else by the engine's command.

The command takes half a second for each question, most of it for starting and for deriving a key from the
passphrase; nothing that is asked here is a secret. State is never written here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from infra.errors import UserError
from infra.stack.command import ask, stack_outputs
from infra.stack.environment import BACKEND
from infra.stack.messages import no_such_stack

_VERSION: Final = 3
"""The form of a checkpoint that is read here; of another one the command is asked."""
_NAME: Final = re.compile(r"^name:\s*['\"]?([\w.-]+)['\"]?\s*(?:#.*)?$", re.MULTILINE)
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_HIDDEN: Final = "[secret]"


class EngineFailed(UserError):
    """The engine's command ended with an error, whose exit code is that of ours."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.exit_code = code


@dataclass(frozen=True)
class Run:
    """A run of the engine that has ended.

    Attributes:
        kind: As the engine calls it: `update`, `destroy`, `refresh`, …
        result: `succeeded`, `failed`, …
        started: In seconds since 1970.
        ended: Likewise.
        changes: How many resources it made, changed or removed.
    """

    kind: str
    result: str
    started: float
    ended: float
    changes: int = 0

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return max(0.0, self.ended - self.started)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Run:
        """Read an entry of the history, as a backend's file or the engine's command has it."""
        started, ended = (_seconds(entry.get(name)) for name in ("startTime", "endTime"))
        counts: Mapping[str, int] = entry.get("resourceChanges") or {}
        changes = sum(count for step, count in counts.items() if step != "same")
        return cls(str(entry.get("kind", "")), str(entry.get("result", "")), started, ended, changes)


@dataclass(frozen=True)
class Stack:
    """One stack of the project in a folder.

    Attributes:
        name: without organization and project.
        directory: the folder of Pulumi.yaml.
        backend: PULUMI_BACKEND_URL.
    """

    name: str
    directory: Path
    backend: str

    @classmethod
    def here(cls, name: str) -> Stack:
        """Return a stack of the project in the current folder, in the backend that the environment names."""
        return cls(name, Path.cwd(), os.environ.get(BACKEND, ""))

    def exists(self) -> bool:
        """Return whether there is such a stack."""
        return self.is_file() or self._run("stack", "select", "--stack", self.name).returncode == 0

    def is_file(self) -> bool:
        """Return whether it is in a file that is read here, without the engine's command."""
        return self._checkpoint() is not None

    def select(self) -> None:
        """Make it the one that the engine's command means without --stack, and make it where there is none.

        Raises:
            EngineFailed: the backend doesn't let us.
        """
        if self._checkpoint() is None or not self._is_selected():
            self._answer("stack", "select", "--create", "--stack", self.name)

    def require(self) -> None:
        """Check that there is such a stack.

        Raises:
            UserError: there is none.
        """
        if not self.exists():
            raise no_such_stack(self.name)

    def deployment(self) -> dict[str, Any]:
        """Return what `pulumi stack export` has as the deployment: resources, and operations without an end.

        Raises:
            EngineFailed: there is no such stack.
        """
        deployment = self._checkpoint()
        if deployment is None:
            deployment = json.loads(self._answer("stack", "export", "--stack", self.name))["deployment"]
        return deployment or {}

    def secret_resources(self) -> list[dict[str, Any]]:
        """Return the resources with what is secret in them, as only the engine's command tells it.

        Raises:
            EngineFailed: there is no such stack.
        """
        answer = self._answer("stack", "export", "--stack", self.name, "--show-secrets")
        deployment: dict[str, Any] = json.loads(answer)["deployment"] or {}
        return deployment.get("resources") or []

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs; what is secret is "[secret]".

        Raises:
            UserError: there is no such stack.
        """
        deployment = self._checkpoint()
        if deployment is None:
            return stack_outputs(self.name, self.directory)
        for resource in deployment.get("resources") or []:
            if resource["type"] == "pulumi:pulumi:Stack":
                return {name: _shown(value) for name, value in (resource.get("outputs") or {}).items()}
        return {}

    def last_run_failed(self) -> bool:
        """Return whether the newest change of the stack ended in an error.

        Raises:
            EngineFailed: there is no such stack.
        """
        newest = self.runs(1)
        return bool(newest) and newest[0].result != "succeeded"

    def runs(self, count: int) -> list[Run]:
        """Return the newest runs that have ended, the last one first.

        Raises:
            EngineFailed: there is no such stack.
        """
        if self._folder is not None and self._checkpoint() is not None:
            files = self._folder.glob(f"history/{self._project}/{self.name}/{self.name}-*.history.json*")
            newest = sorted((path for path in files if path.suffix != ".attrs"), key=_moment, reverse=True)
            return [Run.of(_content(path)) for path in newest[:count]]
        history = self._answer("stack", "history", "--json", "--page-size", str(count), "--stack", self.name)
        return [Run.of(entry) for entry in json.loads(history)]

    def deployment_after(self, run: Run) -> dict[str, Any]:
        """Return what state had at the end of a run; empty where the backend doesn't keep that in files."""
        if self._folder is None:
            return {}
        for path in self._folder.glob(f"history/{self._project}/{self.name}/{self.name}-*.history.json*"):
            if path.suffix != ".attrs" and Run.of(_content(path)) == run:
                copy = path.with_name(path.name.replace(".history.", ".checkpoint."))
                return (_latest(_content(copy)) or {}) if copy.is_file() else {}
        return {}

    def drop_torn_attributes(self) -> None:
        """Remove what a killed engine left half written beside its files, for which it would refuse the stack.

        The library that it writes files with (gocloud.dev/blob/fileblob) puts a file itself in place in one step,
        but notes its attributes (type and checksum) in a file beside it, NAME.attrs, that is empty for a moment.
        Whoever is killed in that moment leaves a stack that no command can read: "failed to load checkpoint: EOF".
        Nothing is lost without the note: where there is none, the library takes the file as it is.
        """
        if self._folder is None:
            return
        for notes in (
            self._folder.glob("*.attrs"),
            self._folder.glob(f"*/{self._project}/{self.name}.*.attrs"),
            self._folder.glob(f"*/{self._project}/{self.name}/*.attrs"),
            self._folder.glob(f"locks/*/*/{self.name}/*.attrs"),
        ):
            for note in notes:
                if not _is_json(note):
                    note.unlink(missing_ok=True)

    def locks(self) -> Iterator[dict[str, Any]]:
        """Return the locks of a stack in a backend of files."""
        if self._folder is not None:
            for path in self._folder.glob(f"locks/*/*/{self.name}/*.json"):
                yield json.loads(path.read_text())

    def cancel(self) -> None:
        """Drop the stack's locks.

        Raises:
            EngineFailed: they can't be dropped.
        """
        self._answer("cancel", self.name, "--yes")

    def forget(self) -> None:
        """Drop the state with all that it lists; nothing that stands is touched, and the configuration stays.

        Raises:
            EngineFailed: it can't be dropped.
        """
        self._answer("stack", "rm", "--stack", self.name, "--force", "--preserve-config", "--yes")

    def refresh(self, *options: str) -> None:
        """Bring state to what hosts and machines say.

        Raises:
            EngineFailed: one of them can't be asked.
        """
        self._answer("refresh", "--stack", self.name, "--yes", "--skip-preview", *options)

    def adopt(self, token: str, name: str, id: str) -> bool:
        """Import a resource; return whether it stood."""
        command = ["import", token, name, id, "--stack", self.name, "--yes", "--protect=false"]
        return self._run(*command, "--generate-code=false").returncode == 0

    def _checkpoint(self) -> dict[str, Any] | None:
        """Return the deployment that the backend's file has; None where there is no such file, or no such form."""
        if self._folder is None:
            return None
        for name in (f"{self.name}.json", f"{self.name}.json.gz"):
            path = self._folder / "stacks" / self._project / name
            if path.is_file():
                return _latest(_content(path))
        return None

    def _is_selected(self) -> bool:
        home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        # As the engine names it (sdk/go/common/workspace/workspace.go).
        digest = hashlib.sha1(str(self.directory / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
        path = home / "workspaces" / f"{self._project}-{digest}-workspace.json"
        try:
            selected = json.loads(path.read_text())["stack"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False
        return bool(selected == f"organization/{self._project}/{self.name}")

    @cached_property
    def _project(self) -> str:
        match = _NAME.search((self.directory / "Pulumi.yaml").read_text())
        return match[1] if match else ""

    @cached_property
    def _folder(self) -> Path | None:
        """Return the folder of a backend that is one: `file:///…`, without options that change its form."""
        parts = urlsplit(self.backend)
        if parts.scheme != "file" or parts.netloc or parts.query or not parts.path.startswith("/"):
            return None
        return Path(unquote(parts.path)) / ".pulumi"

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return ask(*arguments, directory=self.directory)

    def _answer(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode:
            message = f"`pulumi {' '.join(arguments[:2])}` failed:\n{done.stdout}{done.stderr}"
            raise EngineFailed(message, done.returncode)
        return done.stdout


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _HIDDEN if _SIGNATURE in value else {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value


def _latest(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the deployment in a file of state; None where that has another form than is read here."""
    if content.get("version") != _VERSION or "checkpoint" not in content:
        return None
    checkpoint = content["checkpoint"]  # `stack init` and `state …` write the key as Go has the field
    return checkpoint.get("latest") or checkpoint.get("Latest") or {}


def _content(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    content: dict[str, Any] = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    return content


def _seconds(moment: Any) -> float:
    """Return a time in seconds since 1970: files have them as such, the command as RFC 3339."""
    if isinstance(moment, str) and moment:
        return datetime.fromisoformat(moment).timestamp()
    return float(moment or 0)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def _moment(path: Path) -> int:
    """Return when a run began: files of the history are named by it."""
    return int(path.name.split(".history.")[0].rpartition("-")[2])
