"""What the real engine shows before any host is touched: no libvirt, no root, no network."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.refusal import refusal
from tests.project import Project, example

pytestmark = pytest.mark.engine


@pytest.fixture
def local(tmp_path: Path) -> Project:
    return example(tmp_path, "local")


def off(project: Project) -> None:
    """Put hosts over SSH where nobody listens: a preview looks at them, and gets by without."""

    def put(content: Any) -> None:
        for number, host in enumerate(content["hosts"], 11):
            if "+ssh" in host["connection"]:
                host["connection"] = f"qemu+ssh://root@127.0.0.1:{number}/system"

    change(project.directory / "hosts" / f"{project.stack}.yaml", put)


def test_the_examples_preview_without_touching_a_host(tmp_path: Path) -> None:
    for stack, machines in (("local", 3), ("lab", 13)):
        project = example(tmp_path / stack, stack)
        off(project)
        project.apart = True  # the bare command, as who is at home in Pulumi uses it
        preview = project.preview()
        types = [step["urn"].split("::")[2].rsplit("$", 1)[-1] for step in preview["steps"]]
        assert types.count("azlocal:index:Machine") == machines
        assert {step["op"] for step in preview["steps"]} == {"create"}


def change(path: Path, edit: Callable[[Any], None]) -> None:
    content = yaml.safe_load(path.read_text())
    edit(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


BROKEN: dict[str, tuple[str, Callable[[Any], None] | str, str]] = {
    "broken YAML": ("hosts/local.yaml", "hosts: [", "[yaml-syntax]"),
    "unknown key": ("netplans/local.yaml", lambda c: c["infrastructure"].update(gatway="1.2.3.4"), "gateway"),
    "wrong type": ("hosts/local.yaml", lambda c: c["hosts"][0].update(cpus="many"), "hosts[0].cpus"),
    "address outside its network": (
        "netplans/local.yaml",
        lambda c: c["logicalNetworks"][0]["ipPools"][0].update(end="10.99.0.9"),
        "logicalNetworks[0].ipPools[0]",
    ),
    "machines that fit nowhere": (
        "Pulumi.local.yaml",
        lambda c: c["config"]["azlocal:clusters"][0]["controlPlane"].update(vmSize="Standard_D8s_v3"),
        "[vm-larger-than-host]",
    ),
    "no host left": ("hosts/local.yaml", lambda c: c["hosts"][0].update(drain=True), "[every-host-drains]"),
}


THROUGH_THE_CLI = "machines that fit nowhere"
"""Broken by the plan, which is the last to look; the others are looked at by the same program, in process."""


@pytest.fixture
def broken(local: Project, request: pytest.FixtureRequest) -> tuple[Project, str, str]:
    """Return the stack with a fault in its files; the file, and what has to be said."""
    file, edit, shown = BROKEN[request.param]
    change(local.directory / "hosts/local.yaml", lambda c: c["hosts"][0].update(memoryGiB=16))
    path = local.directory / file
    if isinstance(edit, str):
        path.write_text(edit)
    else:
        change(path, edit)
    return local, file, shown


@pytest.mark.parametrize("broken", [THROUGH_THE_CLI], indirect=True)
@pytest.mark.parametrize("command", [("preview",), ("up", "--yes", "--skip-preview")], ids=lambda it: it[0])
def test_a_fault_in_the_files_stops_before_the_first_resource(
    broken: tuple[Project, str, str], command: tuple[str, ...]
) -> None:
    project, file, shown = broken
    run = project.pulumi(*command)
    assert run.code != 0
    assert file in run.output
    assert shown in run.output
    assert "Traceback" not in run.output
    assert "azlocal:index:" not in run.output, "nothing was made"


@pytest.mark.parametrize("broken", [name for name in BROKEN if name != THROUGH_THE_CLI], indirect=True)
@pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])
def test_every_fault_in_the_files_stops_the_program(broken: tuple[Project, str, str], preview: bool) -> None:
    project, file, shown = broken
    said = refusal(project, preview=preview)
    assert file in said
    assert shown in said
    assert "no host was touched" in said


def test_a_preview_says_which_machine_moves_where_and_why(tmp_path: Path) -> None:
    lab = example(tmp_path, "lab")
    off(lab)
    lock = lab.directory / "hosts/lab.lock.yaml"
    places = {f"lab/{name}": {"host": "node1", "memoryMiB": 8192, "diskGiB": 200} for name in ("b-cp-0", "rb-0")}
    lock.write_text(yaml.safe_dump({"version": 1, "machines": places}))
    before = lock.read_text()
    change(lab.directory / "hosts/lab.yaml", lambda c: c["hosts"][0].update(drain=True))
    run = lab.pulumi("preview").expect()
    assert "rb-0 moves from node1 to node" in run.output
    assert "because node1 drains; it is re-created there" in run.output
    assert "b-cp-0 is the only control plane of cluster b: if that is built, `up` refuses to move it" in run.output
    assert lock.read_text() == before


def test_a_preview_says_which_machine_migrates_and_what_cannot(tmp_path: Path) -> None:
    lab = example(tmp_path, "lab")
    off(lab)
    places = {f"lab/{name}": {"host": "node1", "memoryMiB": 8192, "diskGiB": 200} for name in ("b-cp-0", "rb-0")}
    (lab.directory / "hosts/lab.lock.yaml").write_text(yaml.safe_dump({"version": 1, "machines": places}))
    change(lab.directory / "hosts/lab.yaml", lambda c: c["hosts"][0].update(drain="live"))
    run = lab.pulumi("preview").expect()
    for name in ("rb-0", "b-cp-0"):
        assert re.search(
            rf"{name} moves from node1 to node[234], because node1 drains live; it migrates", run.output
        )
    assert "refuses to move it" not in run.output
    lab.edit(machineType="container")
    said = refusal(lab)
    assert "only VMs migrate as they run" in said
    assert "[live-drain-of-containers]" in said


def test_all_faults_of_all_files_come_in_one_report(local: Project) -> None:
    change(local.directory / "hosts/local.yaml", lambda c: c["hosts"][0].update(cpus="many"))
    change(local.directory / "netplans/local.yaml", lambda c: c["infrastructure"].update(vlan="none"))
    said = refusal(local)
    assert "hosts[0].cpus" in said
    assert "infrastructure.vlan" in said


def test_without_an_image_preview_works_and_up_says_what_to_do(local: Project) -> None:
    local.environment["XDG_CACHE_HOME"] = str(local.directory / "cache")
    assert any("Machine" in step["urn"] for step in local.preview()["steps"])
    run = local.up()
    assert run.code != 0
    assert "azlocal image build" in run.output


def test_the_plugin_serves_its_schema(local: Project) -> None:
    run = local.pulumi("package", "get-schema", str(local.plugin / "pulumi-resource-azlocal"), stack=False)
    assert run.code == 0, run.output
    assert "azlocal:index:Machine" in run.output


def test_a_project_can_live_anywhere_and_its_preview_writes_no_lock(tmp_path: Path) -> None:
    project = example(tmp_path / "with space" / "é", "local")
    lock = project.directory / "netplans" / "local.lock.yaml"
    lock.unlink()
    assert project.preview()["steps"]
    assert not lock.exists()
