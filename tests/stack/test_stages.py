"""In how many runs of the engine a stack's clusters get to the versions of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.model.versions import NodeVersions
from infra.stack.stages import stages_of, standing_versions, step_of
from infra.stack.state import Stack
from tests.instances import cluster, files, write_files


def machine(cluster: str, role: str, version: str, **more: Any) -> dict[str, Any]:
    node = {"cluster": f"lab-{cluster}", "role": role, "version": version}
    return {"type": "azlocal:index:Machine", "outputs": {"firstBoot": {"node": node}}, **more}


class Stood(Stack):
    """A stack whose state has machines of a cluster `a`."""

    def deployment(self) -> dict[str, Any]:
        return {"resources": [machine("a", "controlPlane", "1.32.9"), machine("a", "worker", "1.32.9")]}


def test_the_oldest_machine_of_each_role_counts_and_what_is_only_to_be_deleted_does_not() -> None:
    resources = [
        machine("a", "controlPlane", "1.34.4"),
        machine("a", "controlPlane", "1.33.5"),
        machine("a", "worker", "1.33.5"),
        machine("a", "worker", "1.32.9"),
        machine("a", "controlPlane", "1.32.9", delete=True),
        machine("b", "controlPlane", "1.34.4"),
        machine("c", "worker", "1.32.9"),  # none of its control planes is there
        {"type": "azlocal:index:Machine", "outputs": {"firstBoot": {"node": None}}},
        {"type": "azlocal:index:Host", "outputs": {}},
    ]
    assert standing_versions("lab", resources) == {
        "a": NodeVersions("1.33.5", "1.32.9"),
        "b": NodeVersions("1.34.4", "1.34.4"),
    }


def test_an_edit_over_two_minors_takes_two_runs(tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster(name="a", kubernetesVersion="1.34.4")]))
    assert stages_of(Stood("lab", tmp_path, "")) == [{"a": NodeVersions("1.33.5", "1.32.9")}, {}]


@pytest.mark.parametrize("version", ["1.33.5", "1.32.9"])
def test_any_other_edit_takes_one(version: str, tmp_path: Path) -> None:
    write_files(tmp_path, files([cluster(name="a", kubernetesVersion=version)]))
    assert stages_of(Stood("lab", tmp_path, "")) == [{}]


def test_files_that_cannot_be_read_are_the_run_s_to_complain_of(tmp_path: Path) -> None:
    assert stages_of(Stood("lab", tmp_path, "")) == [{}]


def test_what_a_run_brings_is_told() -> None:
    assert step_of({"a": NodeVersions("1.33.5", "1.32.9")}) == (
        "cluster a: control planes get Kubernetes 1.33.5 on their way to a later minor, workers keep 1.32.9 "
        "meanwhile"
    )
