"""The helm program: found, started without a secret in sight, watched, and its answer read."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from infra.errors import Interrupted, UserError
from infra.kubernetes.memory_file import MemoryFile
from infra.model.work import Work

if TYPE_CHECKING:
    from infra.kubernetes.api import ClusterApi

VARIABLE: Final = "AZLOCAL_HELM"
IN_SECRETS: Final = "secret"
"""The driver by which helm keeps releases in Secrets of their namespace, unless it is told another."""
_GZIP: Final = b"\x1f\x8b\x08"
_POLL_SECONDS: Final = 0.5
_END_SECONDS: Final = 10.0  # helm marks an interrupted release as failed before it goes


class HelmFailed(UserError):
    """Helm ended with an error; the message is its own, without secrets."""


@dataclass(frozen=True)
class Deployed:
    """A release as helm keeps it."""

    name: str
    namespace: str
    revision: int
    status: str
    description: str
    chart: str
    chart_version: str
    app_version: str
    values: dict[str, Any]
    manifest: str


@dataclass(frozen=True)
class Release:
    """A release as helm lists it.

    Attributes:
        chart: Name and version of its chart, with a dash between.
    """

    name: str
    namespace: str
    status: str
    chart: str


def find_helm(environment: Mapping[str, str]) -> str:
    """Return helm's path: the one the environment names, the one of azlocal's bundle, or the one on PATH.

    Raises:
        UserError: there is none.
    """
    named = environment.get(VARIABLE)
    if named:
        return named
    from infra.image.bundle import find_bundle  # only who makes a release needs it

    bundle = find_bundle()
    if bundle is not None and bundle.helm.exists():
        return str(bundle.helm)
    path = shutil.which("helm", path=environment.get("PATH"))
    if path is None:
        raise UserError(
            "azlocal makes Helm releases with the helm program, and there is none: `azlocal image build` brings "
            f"one, or put helm on PATH, or name it in {VARIABLE}"
        )
    return path


@dataclass(frozen=True)
class Helm:
    """Helm on one cluster.

    Attributes:
        kubeconfig: of the cluster; helm reads it from memory.
        environment: what helm may see of ours.
        settings: helm's own variables (HELM_DRIVER and the like).
    """

    kubeconfig: Mapping[str, Any]
    environment: Mapping[str, str]
    settings: Mapping[str, str]

    def status(self, namespace: str, name: str, work: Work) -> Deployed | None:
        """Return a release, None where helm says that there is none of that name."""
        where = [name, "--namespace", namespace, "--output", "json"]
        try:
            release = json.loads(self.run(["status", *where], work))
            return _read(release, json.loads(self.run(["get", "metadata", *where], work)))
        except HelmFailed as error:
            if "release: not found" in str(error):
                return None
            raise

    def is_labelled(self, release: Deployed, label: str, value: str, work: Work) -> bool:
        """Return whether a release's last revision was given that label."""
        command = ["list", "--all", "--namespace", release.namespace, "--filter", f"^{release.name}$"]
        command += ["--selector", f"{label}={value}", "--output", "json"]
        return bool(json.loads(self.run(command, work)))

    def releases(self, name: str, work: Work) -> list[Release]:
        """Return the releases of that name in all namespaces, in whatever state they are."""
        command = ["list", "--all", "--all-namespaces", "--filter", f"^{name}$", "--output", "json"]
        return [
            Release(release["name"], release["namespace"], release["status"], release["chart"])
            for release in json.loads(self.run(command, work) or "[]")
        ]

    def values(self, namespace: str, name: str, work: Work) -> dict[str, Any]:
        """Return the values that a release was given, without its chart's own."""
        output = self.run(["get", "values", name, "--namespace", namespace, "--output", "json"], work)
        values: dict[str, Any] = _with_integers(json.loads(output) or {})
        return values

    def run(
        self,
        arguments: Sequence[str],
        work: Work,
        *,
        stdin: str = "",
        hidden: Sequence[str] = (),
        meanwhile: Callable[[], None] = lambda: None,
    ) -> str:
        """Run helm and return what it printed.

        Args:
            arguments: never a secret: the process list shows them.
            work: stops helm, as Ctrl-C does; helm itself waits for ever on a registry that doesn't answer.
            stdin: values, for `--values -`.
            hidden: strings that an error message must not repeat.
            meanwhile: called twice a second.

        Raises:
            HelmFailed: it ended with an error.
            Interrupted: the run was cancelled; helm was told to stop and did.
        """
        with self._started(arguments) as process:
            text: str | None = stdin
            while True:
                try:
                    out, err = process.communicate(text, timeout=_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    text = None  # it has it
                    if work.cancelled.is_set():
                        _end(process)
                        raise Interrupted(f"helm {arguments[0]}: stopped on request") from None
                    if not work.remaining:
                        _end(process)
                        raise HelmFailed(f"helm {arguments[0]} didn't end in time and was stopped") from None
                    meanwhile()
        if process.returncode != 0:
            raise HelmFailed(_hide(_error_of(err) or f"helm {arguments[0]} exited {process.returncode}", hidden))
        return out

    @contextmanager
    def _started(self, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        program = find_helm(self.environment)
        # A helm that outlives us would go on with what the next run starts over.
        keeper = shutil.which("setpriv")
        prefix = [keeper, "--pdeathsig", "TERM"] if keeper else []
        config = MemoryFile("kubeconfig", json.dumps(self.kubeconfig).encode())
        inherited = {name: value for name, value in self.environment.items() if not name.startswith("PULUMI_")}
        try:
            with subprocess.Popen(
                [*prefix, program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=inherited | dict(self.settings) | {"KUBECONFIG": config.path},
                pass_fds=(config.descriptor,),
                start_new_session=True,
            ) as process:
                yield process
        except FileNotFoundError as error:
            raise UserError(f"helm can't be started: there is no {program}") from error
        finally:
            config.close()

    def show_chart(self, arguments: Sequence[str], work: Work) -> str:
        """Return the Chart.yaml of a chart in a repository or registry."""
        return self.run(["show", "chart", *arguments], work)


def stored_release(records: Iterable[Mapping[str, Any]]) -> Deployed | None:
    """Return a release from its Secrets in the cluster, as `helm status` would, without starting helm.

    Args:
        records: The Secrets with the labels `owner=helm` and `name=NAME` of one namespace; one for each revision.
    """
    newest = max(records, key=_revision, default=None)
    return None if newest is None else _stored(newest)


def stored_releases(records: Iterable[Mapping[str, Any]]) -> list[Release]:
    """Return releases from their Secrets of any namespaces, as `helm list` would: each in its last revision."""
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for record in sorted(records, key=_revision):
        newest[record["metadata"]["namespace"], record["metadata"]["labels"]["name"]] = record
    stored = [_stored(record) for record in newest.values()]
    return [
        Release(release.name, release.namespace, release.status, f"{release.chart}-{release.chart_version}")
        for release in stored
    ]


def forget_release(api: ClusterApi, namespace: str, name: str) -> None:
    """Remove what helm notes of a release, if there is any; nothing that the release made is touched.

    Another `helm install` of that name takes over objects that carry its annotations (Helm 3.2 and newer).

    Raises:
        UserError: the API server doesn't answer, or refuses.
    """
    query = {"labelSelector": f"owner=helm,name={name}", "fieldSelector": "type=helm.sh/release.v1"}
    api.send("DELETE", f"/api/v1/namespaces/{namespace}/secrets", query=query)


def _revision(record: Mapping[str, Any]) -> int:
    return int(record["metadata"]["labels"]["version"])


def _stored(record: Mapping[str, Any]) -> Deployed:
    # Encoded twice: by helm, and by the API as every Secret's data.
    content = b64decode(b64decode(record["data"]["release"]))
    release = json.loads(gzip.decompress(content) if content.startswith(_GZIP) else content)
    chart = (release.get("chart") or {}).get("metadata") or {}
    summary = {"chart": chart.get("name"), "version": chart.get("version"), "appVersion": chart.get("appVersion")}
    return _read(release, summary)


def _end(process: subprocess.Popen[str]) -> None:
    """Stop helm as Ctrl-C does; it then marks the release as failed."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    ends = time.monotonic() + _END_SECONDS
    while process.poll() is None and time.monotonic() < ends:
        time.sleep(0.1)
    if process.poll() is None:
        process.kill()


def _error_of(stderr: str) -> str:
    """Return helm's error without the warnings before it."""
    _, marker, error = stderr.rpartition("Error: ")
    return error.strip() if marker else stderr.strip()


def _hide(text: str, hidden: Sequence[str]) -> str:
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def _read(release: Mapping[str, Any], summary: Mapping[str, Any]) -> Deployed:
    info = release.get("info") or {}
    return Deployed(
        name=release["name"],
        namespace=release["namespace"],
        revision=int(release.get("version", 0)),
        status=str(info.get("status")),
        description=str(info.get("description") or ""),
        chart=str(summary.get("chart") or ""),
        chart_version=str(summary.get("version") or ""),
        app_version=str(summary.get("appVersion") or ""),
        values=_with_integers(release.get("config") or {}),
        manifest=str(release.get("manifest") or ""),
    )


def _with_integers(value: Any) -> Any:
    """Return the value with 1.0 as 1, the way properties come from the engine."""
    if isinstance(value, dict):
        return {key: _with_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
