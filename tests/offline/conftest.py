"""A real API server, and small Pulumi projects that talk to it through the stand-in."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.offline.apiserver import ApiServer, helm_environment
from tests.offline.shared import lent
from tests.project import ROOT, Project

PLUGIN = ROOT / "infra" / "offline" / "pulumi-resource-kubernetes"

HEAD = """
import os
import pulumi
from pulumi import ResourceOptions as Options
import pulumi_kubernetes as k8s

config = pulumi.Output.secret(open(os.environ["TEST_KUBECONFIG"]).read())
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


class Program(Project):
    """A stack whose program is text."""

    def write_program(self, text: str, *, settings: str = "") -> None:
        """Write the program: `provider`, `here` and `after` are there for it to use."""
        body = HEAD.format(settings=f", {settings}" if settings else "") + textwrap.dedent(text)
        (self.directory / "__main__.py").write_text(body)

    def changes(self) -> dict[str, list[dict[str, Any]]]:
        """Return the steps that a preview would take, by operation."""
        found: dict[str, list[dict[str, Any]]] = {}
        for step in self.preview()["steps"]:
            if step["op"] != "same":
                found.setdefault(step["op"], []).append(step)
        return found

    def resource(self, name: str) -> dict[str, Any]:
        """Return a resource as state has it, its secrets still wrapped."""
        exported = json.loads(self.pulumi("stack", "export").expect().output)
        found: list[dict[str, Any]] = [
            r for r in exported["deployment"]["resources"] if r["urn"].endswith(f"::{name}")
        ]
        return found[0]


MakeProgram = Callable[..., Program]


@pytest.fixture
def make_program(tmp_path: Path, cluster: ApiServer) -> Iterator[MakeProgram]:
    """Return a function that makes a project. What it makes goes with the file: each test has its own names."""
    made: list[Program] = []

    def make(text: str, *, settings: str = "", kubeconfig: Path | None = None) -> Program:
        directory = tmp_path / f"project{len(made)}"
        (directory / "state").mkdir(parents=True)
        ambient = tmp_path / "bin"
        ambient.mkdir(exist_ok=True)
        if not (ambient / PLUGIN.name).exists():
            (ambient / PLUGIN.name).symlink_to(PLUGIN)
        program = Program(directory, "test")
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
