"""Put what explains a failure into a folder: a cluster's objects, its pods' logs, its machines' journals."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.errors import UserError
from infra.files import user_state
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.health import pod_problem

_LINES: Final = "400"
_STAMP: Final = re.compile(r"\d{8}T\d{6}Z")
_KEPT: Final = 10
"""So many failures of a cluster are kept, the newest."""

_OF_A_MACHINE: Final[Sequence[Sequence[str]]] = (
    ("uptime",),
    ("df", "-h", "/"),
    ("free", "-m"),
    ("cloud-init", "status", "--long"),
    ("systemctl", "--failed", "--no-pager"),
    ("journalctl", "--no-pager", "--lines", _LINES, "--unit", "azlocal-node"),
    ("journalctl", "--no-pager", "--lines", _LINES, "--unit", "kubelet"),
    ("journalctl", "--no-pager", "--lines", _LINES, "--unit", "containerd"),
    ("journalctl", "--no-pager", "--lines", _LINES, "--unit", "keepalived"),
    ("journalctl", "--no-pager", "--lines", _LINES, "--unit", "azlocal-api-endpoint"),
)


@dataclass(frozen=True)
class MachineLogin:
    """A machine, and a way to run a command on it as root.

    Attributes:
        name: Its name.
        run: Runs a command and returns all that it said.
    """

    name: str
    run: Callable[[Sequence[str]], str]


def default_folder(cluster: str) -> Path:
    """Return a new folder's path for one failure of a cluster, after the XDG directories' rule for logs."""
    return user_state() / "azlocal" / "logs" / f"{cluster}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"


def collect(folder: Path, api: ClusterApi, namespaces: Iterable[str], machines: Iterable[MachineLogin]) -> None:
    """Collect what can be had; what can't says so in its own file.

    Objects are written without their specs, where secrets in environment variables would stand.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_older(folder)
    jobs: list[Callable[[], None]] = [
        lambda: _write(folder / "nodes.json", lambda: _statuses(api, "/api/v1/nodes")),
        *(_namespace_job(folder, api, namespace) for namespace in namespaces),
        *(_machine_job(folder, machine) for machine in machines),
    ]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def _remove_older(folder: Path) -> None:
    """Remove what earlier failures of the same cluster left beside a folder of `default_folder`, but for a few."""
    cluster, _, stamp = folder.name.rpartition("-")
    if not _STAMP.fullmatch(stamp):
        return
    parts = (path.name.rpartition("-") for path in folder.parent.iterdir())
    stamps = sorted(stamp for name, _, stamp in parts if name == cluster and _STAMP.fullmatch(stamp))
    for old in stamps[:-_KEPT]:
        shutil.rmtree(folder.with_name(f"{cluster}-{old}"), ignore_errors=True)


def _namespace_job(folder: Path, api: ClusterApi, namespace: str) -> Callable[[], None]:
    def job() -> None:
        path = f"/api/v1/namespaces/{namespace}"
        _write(folder / f"{namespace}-pods.json", lambda: _statuses(api, f"{path}/pods"))
        _write(folder / f"{namespace}-events.txt", lambda: _events(api, f"{path}/events"))
        _write(folder / f"{namespace}-logs.txt", lambda: _pod_logs(api, path))

    return job


def _machine_job(folder: Path, machine: MachineLogin) -> Callable[[], None]:
    def say() -> str:
        return "\n".join(f"$ {' '.join(command)}\n{machine.run(command)}" for command in _OF_A_MACHINE)

    return lambda: _write(folder / f"machine-{machine.name}.txt", say)


def _write(path: Path, content: Callable[[], str]) -> None:
    try:
        text = content()
    except UserError as error:
        text = f"could not be collected: {error}\n"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _statuses(api: ClusterApi, path: str) -> str:
    statuses = [
        {
            "name": item["metadata"]["name"],
            "created": item["metadata"].get("creationTimestamp"),
            "node": item.get("spec", {}).get("nodeName"),
            "status": item.get("status"),
        }
        for item in api.items(path)
    ]
    return json.dumps(statuses, indent=1) + "\n"


def _events(api: ClusterApi, path: str) -> str:
    def line(event: dict[str, Any]) -> str:
        about = event.get("involvedObject", {})
        at = event.get("lastTimestamp") or event.get("eventTime") or ""
        what = f"{about.get('kind', '')}/{about.get('name', '')}"
        return f"{at} {event.get('type')} {event.get('reason')} {what}: {event.get('message', '')}"

    return "\n".join(sorted(line(event) for event in api.items(path))) + "\n"


def _pod_logs(api: ClusterApi, path: str) -> str:
    parts: list[str] = []
    for pod in api.items(f"{path}/pods"):
        problem = pod_problem(pod)
        if not problem:
            continue
        name = pod["metadata"]["name"]
        parts.append(f"=== {name}: {problem}")
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"].get("containers", [])]:
            for previous in ("true", "false"):
                parts.append(f"--- {container['name']}" + (" (before its restart)" if previous == "true" else ""))
                parts.append(_log(api, f"{path}/pods/{name}/log", container["name"], previous))
    return "\n".join(parts) + "\n"


def _log(api: ClusterApi, path: str, container: str, previous: str) -> str:
    try:
        return api.text(path, container=container, previous=previous, tailLines=_LINES)
    except UserError as error:
        return f"could not be collected: {error}"
