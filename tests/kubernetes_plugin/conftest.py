"""A real API server, and small Pulumi projects that talk to it through the stand-in."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes_plugin.apiserver import ApiServer, helm_environment
from tests.kubernetes_plugin.attached import attached
from tests.kubernetes_plugin.shared import lent
from tests.project import ROOT, RUNS, Project, Run

PLUGIN = ROOT / "infra" / "kubernetes_plugin" / "pulumi-resource-kubernetes"

HEAD = """
import os
from pathlib import Path

import pulumi
from pulumi import ResourceOptions as Options
import pulumi_kubernetes as k8s

config = pulumi.Output.secret(Path(os.environ["TEST_KUBECONFIG"]).read_text())
provider = k8s.Provider("cluster", kubeconfig=config, enable_server_side_apply=True{settings})
here = Options(provider=provider)


def after(*resources, **more):
    return Options(provider=provider, depends_on=list(resources), **more)

"""


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    """Return an API server that a file's tests share: each keeps to its own namespaces."""
    with lent(request) as server:
        yield server


@dataclass
class Program(Project):
    """A stack whose program is text; unless it is `apart`, text and stand-in are run in this process."""

    def write_program(self, text: str, *, settings: str = "") -> None:
        """Write the program: `provider`, `here` and `after` are there for it to use."""
        body = HEAD.format(settings=f", {settings}" if settings else "") + textwrap.dedent(text)
        (self.directory / "__main__.py").write_text(body)

    def pulumi(self, *arguments: str, timeout: float = 600, stack: bool = True) -> Run:
        """Run the CLI and wait for it; `start` always has the engine start what it needs."""
        if self.apart or arguments[0] not in RUNS:
            return super().pulumi(*arguments, timeout=timeout, stack=stack)
        before = self.environment
        with attached(self._run, self._environment()) as port:
            self.environment = before | {"PULUMI_DEBUG_PROVIDERS": f"kubernetes:{port}"}
            try:
                return super().pulumi(*arguments, f"--client=127.0.0.1:{port}", timeout=timeout, stack=stack)
            finally:
                self.environment = before

    def begin(self, *arguments: str, stack: bool) -> subprocess.Popen[str]:
        """Start a command of the bare CLI: `pulumi` has said where its program is."""
        return self.start(*arguments, stack=stack)

    def _run(self) -> None:
        """Run the program as Python does, in this process."""
        file = self.directory / "__main__.py"
        exec(compile(file.read_text(), str(file), "exec"), {"__name__": "__main__"})

    def changes(self) -> dict[str, list[dict[str, Any]]]:
        """Return the steps that a preview would take, by operation."""
        found: dict[str, list[dict[str, Any]]] = {}
        for step in self.preview()["steps"]:
            if step["op"] != "same":
                found.setdefault(step["op"], []).append(step)
        return found

    def resource(self, name: str) -> dict[str, Any]:
        """Return a resource as state has it, its secrets still wrapped."""
        found: list[dict[str, Any]] = [r for r in self.state()["resources"] if r["urn"].endswith(f"::{name}")]
        return found[0]


MakeProgram = Callable[..., Program]


@pytest.fixture
def make_program(tmp_path: Path, cluster: ApiServer) -> Iterator[MakeProgram]:
    """Return a function that makes a project. What it makes goes with the file: each test has its own names."""
    made: list[Program] = []

    def make(text: str, *, settings: str = "", kubeconfig: Path | None = None, apart: bool = False) -> Program:
        directory = tmp_path / f"project{len(made)}"
        (directory / "state").mkdir(parents=True)
        ambient = tmp_path / "bin"
        ambient.mkdir(exist_ok=True)
        if not (ambient / PLUGIN.name).exists():
            (ambient / PLUGIN.name).symlink_to(PLUGIN)
        program = Program(directory, "test", apart=apart)
        tools = [str(ambient), str(ROOT / ".azlocal" / "bin"), str(ROOT / ".venv" / "bin"), os.environ["PATH"]]
        program.environment |= {
            "TEST_KUBECONFIG": str(kubeconfig or cluster.kubeconfig_file),
            "PATH": os.pathsep.join(tools),
            "PULUMI_HOME": str(tmp_path / "home"),
            **helm_environment(),
        }
        options = {"virtualenv": str(ROOT / ".venv")}
        description = {"name": "program", "runtime": {"name": "python", "options": options}}
        (directory / "Pulumi.yaml").write_text(yaml.safe_dump(description))
        program.write_program(text, settings=settings)
        program.init()
        made.append(program)
        return program

    yield make
    for program in made:
        program.reap()  # a test that was interrupted may have left its command running
