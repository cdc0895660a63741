import json
import subprocess
from pathlib import Path

import pytest

from infra.effects.older import read_older
from infra.plan.instance import plan_instance, record_instance
from infra.spec import SpecError, load_instance
from tests.instances import cluster, files, write_files


def git(folder: Path, *arguments: str) -> None:
    name = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project in a subfolder of a repository: first cluster a, then a and b, then b alone."""
    folder = tmp_path / "site"
    folder.mkdir()
    git(tmp_path, "init")
    for clusters in ([cluster("a")], [cluster("a"), cluster("b")], [cluster("b")]):
        write_files(folder, files(clusters))
        record_instance(load_instance("lab", folder))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-m", "x")
    return folder


def clusters_of(named: str, project: Path) -> dict[str | None, str]:
    plan = read_older(named, "lab", project).addresses
    return {one.owner: one.address for one in plan.networks[1].allocations if one.use == "controlPlaneNode"}


def test_a_revision_is_planned_with_its_own_files_and_lock(project: Path) -> None:
    (project / "netplans/s.yaml").write_text("not the revision's", encoding="utf-8")
    assert clusters_of("HEAD~2", project) == {"a-cp-0": "10.220.32.18"}
    assert clusters_of("HEAD~1", project) == {"a-cp-0": "10.220.32.18", "b-cp-0": "10.220.32.22"}
    assert clusters_of("HEAD", project) == {"b-cp-0": "10.220.32.22"}
    without = read_older("HEAD", "lab", project, use_lock=False).addresses
    assert {one.owner: one.address for one in without.networks[1].allocations}["b-cp-0"] == "10.220.32.18"


def test_a_stack_that_the_revision_does_not_have_is_an_empty_plan(project: Path) -> None:
    assert read_older("HEAD", "other", project).addresses.networks == ()


def test_a_json_file_reads_back_as_the_plan_that_it_was(project: Path, tmp_path: Path) -> None:
    plan = plan_instance(load_instance("lab", project))
    old = tmp_path / "old.json"
    old.write_text(json.dumps(plan.to_json()), encoding="utf-8")
    assert [net.to_json() for net in read_older(str(old), "lab", project).addresses.networks] == [
        net.to_json() for net in plan.addresses.networks
    ]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("no-such-branch", "neither a file nor a revision"),
        ("missing.json", "no such file"),
        ("--output=/tmp/x", "neither a file nor a git revision"),
        ("HEAD\n", "neither a file nor a git revision"),
        ("HEAD:site", "neither a file nor a revision"),
    ],
)
def test_what_can_not_be_named_is_told(project: Path, named: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_older(named, "lab", project)
    (finding,) = caught.value.findings
    assert message in finding.message
    assert finding.path.startswith("--against ")


def test_outside_a_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="in a git repository"):
        read_older("HEAD", "lab", tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"instance": "x", "networks": [{"name": 3}]}', "\ud800".encode("utf-8", "surrogatepass")],
)
def test_a_file_that_is_no_plan_is_told(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "old.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SpecError, match="not a plan"):
        read_older(str(path), "lab", tmp_path)


def test_a_revision_whose_files_are_broken_names_them(project: Path) -> None:
    (project / "hosts/s.yaml").write_text("hosts: [\n", encoding="utf-8")
    git(project, "commit", "-am", "broken")
    with pytest.raises(SpecError) as caught:
        read_older("HEAD", "lab", project)
    assert caught.value.findings[0].path.startswith("HEAD:hosts/s.yaml:2")
