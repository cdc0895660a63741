"""`ci up`, `down`, `rebuild` and `reap` with the real engine and a program that makes nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pulumi
import pytest
import yaml
from lxml import etree

from infra.errors import UserError
from infra.kvm import daemon
from infra.ssh import LocalShell
from infra.stack import verbs
from infra.stack.auditing.run import Before
from infra.stack.ci import flow, holding, host_lease, reaping
from infra.stack.ci.flow import Request, RuleBroken
from infra.stack.ci.holding import RunHost
from infra.stack.ci.lease import Lease
from infra.stack.ci.runs import RunFolder
from infra.stack.state import EngineFailed
from tests.project import ROOT

pytestmark = pytest.mark.engine

WITHIN = IPv4Network("10.199.0.0/16")


@dataclass
class Pipeline:
    """A project with the stack `local`, whose program makes nothing.

    Attributes:
        project: Its folder.
        fails: Why the program fails; empty: it doesn't.
        left: How the proof at the end of a `down` ends.
    """

    project: Path
    fails: str = ""
    left: int = 0

    def request(self, run: str = "one") -> Request:
        return Request(RunFolder(self.project, run), within=WITHIN)

    def folder(self, run: str = "one") -> Path:
        return self.project / ".azlocal" / "ci" / run

    def lease(self) -> Lease | None:
        return host_lease.look(LocalShell(), str(self.project / "ci.lease")).lease

    def end_lease(self) -> None:
        """Have the lease end long ago, as that of a run that was killed."""
        lease = self.lease()
        assert lease is not None
        text = lease.model_copy(update={"renewed": 1}).model_dump_json(by_alias=True)
        (self.project / "ci.lease").write_text(text)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    project = tmp_path / "project"
    for name in ("Pulumi.local.yaml", "hosts/local.yaml", "netplans/local.yaml"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    (project / "Pulumi.yaml").write_text("name: azlocal\nruntime: nowhere\n")
    made = Pipeline(project)
    host = RunHost("node1", "qemu:///system", lease_file=f"{project}/ci.lease", lock_file=f"{project}/ci.lock")

    def program() -> None:
        if made.fails:
            raise pulumi.RunError(made.fails)
        cluster = {"context": "x-a", "endpoint": "https://10.199.0.9:6443", "loadBalancer": ["10.199.1.100"]}
        pulumi.export("clusters", {"a": {"kubernetesVersion": "1.34.4", **cluster}})
        pulumi.export("kubeconfig", pulumi.Output.secret("apiVersion: v1\n"))

    monkeypatch.setattr(verbs, "load_program", lambda _settings=None: program)
    monkeypatch.setattr(verbs, "build_image", lambda _stack: None)
    monkeypatch.setattr(verbs, "start_hypervisor", lambda: None)
    monkeypatch.setattr(daemon, "stop", lambda _say: None)
    monkeypatch.setattr(Before, "prove", lambda _before: made.left)
    monkeypatch.setattr(holding, "clean", lambda _host, _remains: True)
    for module in (flow, reaping):
        monkeypatch.setattr(module, "hosts_of", lambda _spec: [host])
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://nobody-is-asked")  # a run's state is its own
    yield made
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)
    pulumi.runtime.reset_options()


def junit(pipeline: Pipeline, run: str = "one") -> list[tuple[str, str]]:
    """Return each case of a run's JUnit, with its failure's text."""
    root = etree.parse(pipeline.folder(run) / "report/junit-up.xml").getroot()
    return [(str(case.get("name")), str(case.findtext("failure") or "")) for case in root.iter("testcase")]


def test_a_run_is_made_on_a_leased_host_and_taken_down_with_all_but_its_report(pipeline: Pipeline) -> None:
    report = flow.up(pipeline.request())
    kubeconfig = pipeline.folder() / "kubeconfig"
    assert kubeconfig.read_text().strip() == "apiVersion: v1"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(pipeline.folder().stat().st_mode) == 0o700
    assert report.load_balancers == {"a": ["10.199.1.100"]}
    assert junit(pipeline) == [("plan", ""), ("lease", ""), ("up", "")]
    assert f"kubeconfig={kubeconfig}\n" in (pipeline.project.parent / "output").read_text()
    assert "10.199." in (pipeline.folder() / "report/summary-up.md").read_text(), "the address plan"
    assert not (pipeline.folder() / "events.jsonl").exists()
    netplan = yaml.safe_load((pipeline.folder() / "netplans/local.yaml").read_text())
    assert IPv4Network(netplan["infrastructure"]["addressPrefix"]).subnet_of(WITHIN)
    lease = pipeline.lease()
    assert lease is not None
    assert (lease.state, lease.remains.instance) == ("busy", report.instance)
    assert f"{report.instance}-a-cp-0" in lease.remains.machines
    assert list(lease.remains.networks) == [f"{report.instance}-infrastructure", f"{report.instance}-aks"]

    with pytest.raises(UserError, match="node1 is busy: run one"):
        flow.up(pipeline.request("two"))
    assert [path.name for path in pipeline.folder("two").iterdir()] == ["report"]
    assert [name for name, failure in junit(pipeline, "two") if failure] == ["lease"]

    again = flow.rebuild(pipeline.request())
    assert [step.name for step in again.steps] == ["down", "plan", "lease", "up"]
    assert again.instance == report.instance
    flow.down(pipeline.request())
    assert pipeline.lease() is None
    assert [path.name for path in pipeline.folder().iterdir()] == ["report"]
    assert flow.down(pipeline.request()).steps == (), "there is nothing to take down"
    with pytest.raises(UserError, match="there is no run one"):
        flow.rebuild(pipeline.request())


def test_an_up_that_fails_keeps_its_host_and_what_explains_it(pipeline: Pipeline) -> None:
    pipeline.fails = "the plan has 1 error"
    with pytest.raises(EngineFailed):
        flow.up(pipeline.request())
    ((_, plan), (_, lease), (name, failure)) = junit(pipeline)
    assert (plan, lease, name) == ("", "", "up")
    assert "the plan has 1 error" in failure
    artefacts = pipeline.folder() / "report/artefacts"
    assert "the plan has 1 error" in (artefacts / "engine.txt").read_text()
    result = json.loads((pipeline.folder() / "report/result-up.json").read_text())
    assert (result["ok"], result["artefacts"]) == (False, str(artefacts))
    kept = pipeline.lease()
    assert kept is not None
    assert kept.state == "busy"
    pipeline.fails = ""
    assert flow.up(pipeline.request()).error == ""


def test_a_down_that_leaves_something_leaves_its_host_dirty(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.up(pipeline.request())
    pipeline.left = 2
    monkeypatch.setattr(flow, "_audited", lambda _stack: None)
    with pytest.raises(EngineFailed):
        flow.down(pipeline.request())
    dirty = pipeline.lease()
    assert dirty is not None
    assert (dirty.state, dirty.remains.run) == ("dirty", "one")
    (state,) = reaping.leases(pipeline.project, "local")
    assert (state.state, state.run) == ("dirty", "one")
    pipeline.left = 0
    flow.down(pipeline.request())
    assert pipeline.lease() is None


def test_what_a_killed_run_left_goes_with_its_folder_or_by_its_marks(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow.up(pipeline.request())
    called: list[list[str]] = []
    code = 0

    def call(command: list[str]) -> int:
        called.append(command)
        return code

    monkeypatch.setattr(subprocess, "call", call)

    def reap(*, is_trial: bool = False) -> str:
        (state,) = reaping.reap_all(pipeline.project, "local", None, is_trial=is_trial)
        return state.state

    assert reap() == "busy", "its lease counts"
    pipeline.end_lease()
    assert reap(is_trial=True) == "dirty"
    assert "what run one has there would go" in capsys.readouterr().err
    assert called == []
    reap()
    assert called[0][-6:] == ["-C", str(pipeline.project), "ci", "down", "--run", "one"]
    code = 1
    assert reap() == "free", "by its marks, where its state can't"
    assert len(called) == 2
    shutil.rmtree(pipeline.folder())
    for name in ("PULUMI_CONFIG_PASSPHRASE_FILE", "AZLOCAL_SSH_PUBLIC_KEY_FILE"):
        del os.environ[name]  # of the run before, in this process
    flow.up(pipeline.request())
    shutil.rmtree(pipeline.folder())  # as a runner's clean checkout does
    pipeline.end_lease()
    assert reap() == "free"
    assert len(called) == 2


def test_a_plan_that_breaks_a_rule_leases_nothing(pipeline: Pipeline) -> None:
    path = pipeline.project / "netplans/local.yaml"
    path.write_text(path.read_text().replace("end: 10.197.40.30", "end: 10.197.40.21"))
    with pytest.raises(RuleBroken, match=r"netplans/local\.yaml:7: infrastructure\.pool: .* 2 addresses"):
        flow.up(pipeline.request())
    assert pipeline.lease() is None
    assert [path.name for path in pipeline.folder().iterdir()] == ["report"]


def test_two_commands_do_not_work_on_one_run(pipeline: Pipeline) -> None:
    request = pipeline.request()
    with request.folder.at_work(), pytest.raises(UserError, match="another command is working on run one"):
        flow.up(request)


def test_a_run_is_another_stacks_no_more_than_of_other_networks(pipeline: Pipeline) -> None:
    flow.up(pipeline.request())
    path = pipeline.project / "netplans/local.yaml"
    path.write_text(path.read_text().replace("10.197.41.", "10.197.42."))
    with pytest.raises(UserError, match="is of local with other networks"):
        flow.up(pipeline.request())
