"""Helm, as the agent's service account; it gets no secret, neither in arguments nor in values."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import AgentError, HelmFailed, Stopping
from .settings import Settings

_END_SECONDS = 6.0  # an interrupted helm marks its release as failed before it goes
_HISTORY = "3"
_INSTALLING = "pending-install"
_PENDING = ("pending-upgrade", "pending-rollback")


@dataclass(frozen=True)
class Release:
    """A release and the chart that it is made of.

    Attributes:
        chart: the chart's address in a registry, `oci://…`.
        timeout: seconds that its objects have to become ready.
    """

    name: str
    namespace: str
    chart: str
    version: str
    timeout: int


class Helm:
    """Runs the helm program."""

    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping

    def install(self, release: Release, values: Mapping[str, Any]) -> None:
        """Install a release or change it, and wait until its objects are ready.

        Raises:
            HelmFailed: helm says why.
            Stopping: the agent has to end.
        """
        self._clean_up(release.name, release.namespace)
        ca = self._settings.extra_ca
        trust = ["--ca-file", str(ca)] if ca is not None and ca.exists() else []
        where = [release.name, release.chart, "--version", release.version, "--namespace", release.namespace]
        wait = ["--wait", "--timeout", f"{release.timeout}s", "--history-max", _HISTORY]
        self._run(["upgrade", "--install", *where, *wait, *trust, "--values", "-"], stdin=json.dumps(values))

    def uninstall(self, name: str, namespace: str, timeout: int) -> None:
        """Remove a release, if it is there, and wait until its objects are gone."""
        where = ["--namespace", namespace, "--ignore-not-found"]
        self._run(["uninstall", name, *where, "--wait", "--timeout", f"{timeout}s"])

    def _clean_up(self, name: str, namespace: str) -> None:
        """Undo what an agent left that was killed while helm worked: helm refuses to touch it otherwise."""
        where = ["--namespace", namespace]
        try:
            said = json.loads(self._run(["status", name, *where, "--output", "json"]))
        except HelmFailed as error:
            if "not found" in str(error):
                return
            raise
        status = (said.get("info") or {}).get("status")
        if status == _INSTALLING:
            self._run(["uninstall", name, *where, "--ignore-not-found"])
        elif status in _PENDING:
            self._run(["rollback", name, *where])

    def _run(self, arguments: Sequence[str], stdin: str = "") -> str:
        with _home(self._settings) as environment:
            try:
                process = subprocess.Popen(
                    ["helm", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise AgentError(f"helm can't be started: {error}") from error
            with process:
                out, err = self._watch(process, stdin)
        if process.returncode != 0:
            raise HelmFailed(_reason(err) or f"helm {arguments[0]} exited {process.returncode}")
        return out

    def _watch(self, process: subprocess.Popen[str], stdin: str) -> tuple[str, str]:
        text: str | None = stdin
        while True:
            try:
                return process.communicate(text, timeout=0.5)
            except subprocess.TimeoutExpired:
                text = None  # it has it
            if self._stopping.is_set():
                _end(process)
                raise Stopping


@contextmanager
def _home(settings: Settings) -> Iterator[dict[str, str]]:
    """Yield an environment in which helm finds the cluster, and the token only where kubelet keeps it fresh."""
    folder = settings.service_account
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cluster",
        "clusters": [
            {
                "name": "cluster",
                "cluster": {"server": settings.api_server, "certificate-authority": str(folder / "ca.crt")},
            }
        ],
        "users": [{"name": "agent", "user": {"tokenFile": str(folder / "token")}}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "agent"}}],
    }
    with tempfile.TemporaryDirectory(prefix="helm-") as home:
        path = Path(home, "kubeconfig")
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        # The API server is a neighbour: a proxy is for the registry.
        direct = settings.api_server.removeprefix("https://").rpartition(":")[0].strip("[]")
        bypass = ",".join(filter(None, [os.environ.get("NO_PROXY", ""), direct]))
        yield {**os.environ, "HOME": home, "KUBECONFIG": str(path), "NO_PROXY": bypass, "no_proxy": bypass}


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _reason(stderr: str) -> str:
    """Return helm's error without the warnings before it."""
    _, found, error = stderr.rpartition("Error: ")
    return (error if found else stderr).strip()
