"""kube-bench on nodes: the CIS Kubernetes Benchmark, against what is accepted with a reason (accepted.yaml)."""

from __future__ import annotations

import base64
import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from infra.image import tools
from infra.image.bundle.components import Component
from infra.image.bundle.golang import compile_component, find_go, module_folder
from infra.image.places import default_cache
from tests.instance import on
from tests.project import Project

BENCHMARK: Final = "cis-1.10"
_HERE: Final = Path(__file__).parent
_ON_NODE: Final = "/var/tmp/kube-bench"
_TARGETS: Final = {"controlPlane": "master,etcd,controlplane,node", "worker": "node"}


@dataclass(frozen=True)
class _OwnComponent(Component):
    """A program that only tests need: its go.mod is here, and no bundle has it."""

    @property
    def folder(self) -> Path:
        return _HERE / "module"


_KUBE_BENCH: Final = _OwnComponent("kube-bench", "github.com/aquasecurity/kube-bench", "v0.12.0", ("kube-bench",))


def accepted(role: str) -> dict[str, str]:
    """Return the checks that may fail on a node of that role, each with the reason."""
    content: list[dict[str, Any]] = yaml.safe_load((_HERE / "accepted.yaml").read_text())
    return {one["check"]: one["reason"] for one in content if role in one["roles"]}


def failures(project: Project, machine: str, role: str) -> dict[str, str]:
    """Run the benchmark on a node; return the checks that fail, with what they ask."""
    on(
        project,
        machine,
        f"sudo mkdir -p {_ON_NODE} && base64 --decode | sudo tar --extract --gzip --directory {_ON_NODE}",
        stdin=_packed(_compiled()),
    )
    options = ["--config-dir", f"{_ON_NODE}/cfg", "--benchmark", BENCHMARK, "--targets", _TARGETS[role], "--json"]
    try:
        said = on(project, machine, "sudo", f"{_ON_NODE}/kube-bench", "run", *options)
    finally:
        on(project, machine, "sudo", "rm", "-rf", _ON_NODE)
    report = json.loads(said)
    print(f"{BENCHMARK} on a {role}: {report['Totals']}")  # noqa: T201 -- `pytest -rP` shows it
    return dict(_failed(report))


def _failed(report: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    results = [
        result for control in report["Controls"] for section in control["tests"] for result in section["results"]
    ]
    assert len(results) > 20, "the benchmark was run"
    return ((one["test_number"], one["test_desc"]) for one in results if one["status"] == "FAIL")


def _compiled() -> Path:
    """Return a folder with the program and its checks; made once for the same module files."""
    cache = default_cache()
    made = cache.root / "tests" / f"kube-bench-{_KUBE_BENCH.digest}"
    if made.exists():
        return made
    go = find_go(tools.run)
    work = made.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    compile_component(_KUBE_BENCH, work, go, cache, tools.run)
    checks = module_folder(_KUBE_BENCH, _KUBE_BENCH.module, go, cache, tools.run) / "cfg"
    shutil.copytree(checks / BENCHMARK, work / "cfg" / BENCHMARK)
    shutil.copy(checks / "config.yaml", work / "cfg")
    work.rename(made)
    return made


def _packed(folder: Path) -> str:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, ".")
    return base64.b64encode(packed.getvalue()).decode("ascii")
