"""A pool that scales by itself keeps its size in every run of the real engine, whoever starts it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from infra.stack.observing.stored import phases_of
from infra.stack.state import Stack
from tests.engine.node_image import plain_image
from tests.project import ROOT, Project, Run, example

pytestmark = [pytest.mark.engine, pytest.mark.chain]

POOL = {
    "name": "pool1",
    "count": 2,
    "vmSize": "Lab_Small",
    "enableAutoScaling": True,
    "minCount": 1,
    "maxCount": 3,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a stack with a pool that began with two nodes, and whose file says one by now."""
    folder = tmp_path_factory.mktemp("scaled")
    project = example(folder / "project", "local")
    project.environment |= plain_image(folder / "cache")
    edit(project, {})
    stand(project).expect()
    edit(project, {"count": 1})
    return project


def edit(project: Project, pool: Mapping[str, Any]) -> None:
    path = project.directory / "Pulumi.local.yaml"
    (cluster,) = yaml.safe_load(path.read_text())["config"]["azlocal:clusters"]
    scaled = {**cluster, "provisioning": "machines", "agentPools": [{**POOL, **pool}]}
    project.edit(clusters=[scaled], nodeImage="plain", machineType="container")


def stand(project: Project) -> Run:
    """Run `up` with machines that simply stand."""
    script = [sys.executable, "-P", str(ROOT / "tests/engine/standing_run.py"), "local"]
    done = subprocess.run(
        [*script, "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=project.directory,
        env=project.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr)


def becomes(project: Project) -> dict[str, str]:
    """Return what a preview does to machines."""
    machines = [step for step in project.preview()["steps"] if "azlocal:index:Machine" in step["urn"]]
    return {step["urn"].rpartition("::")[2]: step["op"] for step in machines if step["op"] != "same"}


def test_what_a_run_made_is_noted(project: Project) -> None:
    assert project.outputs()["agentPools"] == {"a": {"pool1": 2}}


def test_a_run_keeps_when_each_part_of_it_was_through(project: Project) -> None:
    """What status tells of the next run is read from what the engine itself keeps of this one."""
    stack = Stack(project.stack, project.directory, project.variables["PULUMI_BACKEND_URL"])
    (run,) = stack.runs(9)
    assert (run.kind, run.result, run.changes > 0) == ("update", "succeeded", True)
    phases = phases_of(stack.deployment_after(run), run.started, run.ended)
    assert len(phases["machines"].seconds) == phases["machines"].total == 4
    assert phases["hosts and networks"].seconds[0] < phases["machines"].seconds[-1] <= run.seconds + 1


@pytest.mark.parametrize("apart", [False, True], ids=["azlocal", "the bare command"])
def test_a_count_within_the_bounds_is_no_change(project: Project, apart: bool) -> None:
    project.apart = apart
    assert becomes(project) == {}


def test_where_state_is_in_no_file_that_azlocal_reads_the_engine_is_asked(project: Project) -> None:
    project.apart = True
    project.environment["PULUMI_BACKEND_URL"] = f"file://{project.directory / 'state'}?no_tmp_dir=true"
    try:
        assert becomes(project) == {}
    finally:
        del project.environment["PULUMI_BACKEND_URL"]
        project.apart = False


def test_bounds_are_kept_and_without_autoscaling_the_file_counts(project: Project) -> None:
    edit(project, {"count": 3, "minCount": 3})
    assert becomes(project) == {"local-a-pool1-2": "create"}
    edit(project, {"count": 1, "maxCount": 1})
    assert becomes(project) == {"local-a-pool1-1": "delete"}
    edit(project, {"count": 1, "enableAutoScaling": False})
    assert becomes(project) == {"local-a-pool1-1": "delete"}
    edit(project, {"count": 1})


def test_a_machine_that_is_lost_is_made_again(project: Project) -> None:
    """Where `refresh` has seen that the last one is gone, state has none: only the output tells of it."""
    lost = [
        one["urn"]
        for one in project.state()["resources"]
        if one["urn"].endswith("::local-a-pool1-1") and "azlocal:index:Machine" in one["type"]
    ]
    assert len(lost) == 1
    project.pulumi("state", "delete", *lost, "--yes").expect()
    assert becomes(project) == {"local-a-pool1-1": "create"}
