"""etcd's snapshots: a cluster goes back in time, comes back from lost quorum, and from the loss of all it had.

One cluster serves all tests of this file, each a step that goes on from the one before.
"""

from __future__ import annotations

import json
import re
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.kvm.host_folders import BACKUPS
from infra.spec.hosts import DEFAULT_STORAGE_DIRECTORY
from tests.cluster import Kubernetes, eventually, kubernetes, kubernetes_cluster, web_deployment
from tests.instance import INSTANCE, on, power_off, projects, virsh
from tests.project import Project
from tests.waiting import waits_less_than

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.chain]

FIRST, SECOND, THIRD = (f"{INSTANCE}-a-cp-{number}" for number in range(3))
FOLDER = Path(DEFAULT_STORAGE_DIRECTORY, INSTANCE, BACKUPS)
BUMP = 1_000_000_000


@dataclass(frozen=True)
class Made:
    """A project with a cluster of one control plane."""

    project: Project
    a: Kubernetes

    def snapshots(self) -> list[dict[str, Any]]:
        run = self.project.azlocal("backup", "--list", "--format", "json").expect()
        listed: list[dict[str, Any]] = json.loads(run.output)["snapshots"]
        return listed

    def write(self, name: str) -> None:
        kind = {"apiVersion": "v1", "kind": "ConfigMap"}
        self.a.apply({**kind, "metadata": {"name": name}, "data": {"written": name}})

    def has(self, name: str) -> bool:
        return self.a.run("get", "configmap", name).returncode == 0

    def revision(self, name: str) -> int:
        return int(self.a.get("configmap", name)["metadata"]["resourceVersion"])

    def password(self, name: str) -> str:
        """Return what the API server reads of a Secret."""
        return b64decode(self.a.get("secret", name)["data"]["password"]).decode()

    def key_of(self, name: str) -> str:
        """Return under which key etcd has a Secret."""
        pki = "/etc/kubernetes/pki/etcd"
        files = ["--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key"]
        asked = ("sudo", "curl", "--silent", "--show-error", "--fail", *files, "--data", "@-")
        key = b64encode(f"/registry/secrets/default/{name}".encode()).decode("ascii")
        said = on(
            self.project, FIRST, *asked, "https://127.0.0.1:2379/v3/kv/range", stdin=json.dumps({"key": key})
        )
        value = b64decode(json.loads(said)["kvs"][0]["value"])
        assert value.startswith(b"k8s:enc:secretbox:v1:key-")
        return value.split(b":")[4].decode()

    def keys_on(self, machine: str) -> list[str]:
        """Return the keys that a control plane's file has, by name."""
        said = on(
            self.project,
            machine,
            *("sudo", "grep", "-o", "key-[0-9a-f]*", "/etc/kubernetes/azlocal/encryption.yaml"),
        )
        return said.split()

    def uid(self) -> str:
        return str(self.a.get("namespace", "kube-system")["metadata"]["uid"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with projects(tmp_path_factory.mktemp("backup"), shared=True) as make:
        project = make(clusters=[kubernetes_cluster(timeoutMinutes=15)])
        project.up(timeout=1500).expect()
        yield Made(project, kubernetes(project, "a"))


def test_a_snapshot_is_kept_on_the_host_and_comes_here_on_request(made: Made, tmp_path: Path) -> None:
    refused = made.project.drill("lose-quorum").expect(2)
    assert "no snapshot of cluster a is kept" in refused.output
    made.write("first")
    file = tmp_path / "a.db"
    made.project.azlocal("backup", "--cluster", "a", "-o", str(file)).expect()
    (snapshot,) = made.snapshots()
    assert snapshot["reason"] == "azlocal backup"
    db = FOLDER / f"{snapshot['name']}.db"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (db, file)} == {0o600}
    assert stat.S_IMODE(FOLDER.stat().st_mode) == 0o700
    assert db.read_bytes() == file.read_bytes()
    made.project.azlocal("backup", "--cluster", "a", "--fetch", snapshot["name"], "-o", f"{file}2").expect()
    assert Path(f"{file}2").read_bytes() == file.read_bytes()


def test_secrets_get_another_key_and_a_snapshot_from_before_is_still_read(made: Made) -> None:
    a, project = made.a, made.project
    a.kubectl("create", "secret", "generic", "kept", "--from-literal=password=never-in-plain-text")
    made.project.azlocal("backup").expect()
    before, snapshot = made.key_of("kept"), made.snapshots()[-1]
    assert snapshot["encryptionKeys"] == [before]
    assert made.keys_on(FIRST) == [before]

    made.project.azlocal("rotate-keys").expect()
    after = made.key_of("kept")
    assert after != before
    assert made.keys_on(FIRST) == [after]
    assert made.password("kept") == "never-in-plain-text"
    project.up("--expect-no-changes").expect()
    assert "younger than 30 days" in made.project.azlocal("rotate-keys", "--due").expect().output

    made.project.azlocal("restore", "a", snapshot["name"], "--yes").expect()
    assert made.password("kept") == "never-in-plain-text"
    assert made.key_of("kept") == after, "what was restored was written again"
    assert made.keys_on(FIRST) == [after]
    project.up("--expect-no-changes").expect()


def test_a_cluster_goes_back_to_a_snapshot_and_everybody_notices(made: Made) -> None:
    a, project = made.a, made.project
    a.apply(web_deployment("web"))
    a.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    made.project.azlocal("backup").expect()
    snapshot = made.snapshots()[-1]["name"]
    made.write("second")
    a.kubectl("delete", "deployment", "web", "--wait=true")
    before = made.uid()
    assert made.project.azlocal("restore", "a", snapshot).code == 1, "nobody said that it is meant"
    assert made.has("second")
    made.project.azlocal("restore", "a", snapshot, "--yes").expect()
    assert made.has("first")
    assert not made.has("second")
    assert made.uid() == before
    made.write("third")
    assert made.revision("third") > BUMP
    a.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    eventually(lambda: a.unfinished_pods() == [], "every pod runs")
    assert a.nodes() == {FIRST: True, a.worker: True}
    assert [each["reason"] for each in made.snapshots()][-1] == "before a restore"
    assert on(project, FIRST, "sudo", "ls", "/etc/kubernetes").split() == [
        *("admin.conf", "azlocal", "controller-manager.conf", "kubelet.conf"),
        *("manifests", "pki", "scheduler.conf"),
    ]
    project.up("--expect-no-changes").expect()


def test_the_restore_can_be_taken_back(made: Made) -> None:
    """By the snapshot that was taken before it; which is the newest, and so what is restored without a name."""
    seen = made.revision("third")
    made.project.azlocal("restore", "a", "--yes").expect()
    assert made.has("second")
    assert not made.has("third")
    made.write("again")
    assert made.revision("again") > seen, "though the snapshot is of before the revisions were raised"
    made.project.up("--expect-no-changes").expect()


def gone(machine: str) -> None:
    power_off(machine)
    virsh("undefine", machine)


def test_a_cluster_whose_only_control_plane_is_gone_is_founded_again_from_a_snapshot(made: Made) -> None:
    a, project = made.a, made.project
    made.write("fourth")
    made.project.azlocal("backup").expect()
    before = made.uid()
    gone(FIRST)
    said = project.refresh().output
    assert f"azlocal restore {INSTANCE} a" in " ".join(said.split())
    with waits_less_than(120, "Nobody waits for what no repair brings back."):
        refused = project.up(timeout=600)
    assert refused.code != 0
    assert "azlocal restore STACK a" in " ".join(refused.output.split())
    made.project.azlocal("restore", "a", "--yes", timeout=900).expect()
    assert made.has("fourth")
    assert made.uid() == before
    project.up(timeout=900).expect()
    assert a.nodes() == {FIRST: True, a.worker: True}
    eventually(lambda: a.unfinished_pods() == [], "every pod runs")
    project.up("--expect-no-changes").expect()


def test_a_snapshot_is_taken_before_control_planes_change(made: Made) -> None:
    known = {each["name"] for each in made.snapshots()}
    planes = {"count": 3, "vmSize": "Node"}
    made.project.edit(clusters=[kubernetes_cluster(controlPlane=planes, timeoutMinutes=15)])
    run = made.project.up(timeout=1500).expect()
    assert "a snapshot of etcd is kept" in run.output
    (new,) = [each for each in made.snapshots() if each["name"] not in known]
    assert new["reason"].endswith("comes")
    assert made.a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, made.a.worker), True)


def test_a_rotation_of_three_control_planes_goes_on_after_a_kill(made: Made) -> None:
    a, project = made.a, made.project
    before = made.key_of("kept")
    with project.start_azlocal("rotate-keys") as process:
        for line in process.stdout or ():
            if f"{SECOND}: " in line and "writes Secrets by" in line and f"writes Secrets by {before}" not in line:
                process.kill()
                break
    assert made.password("kept") == "never-in-plain-text"
    preview = " ".join(project.pulumi("preview").output.split())
    assert "a rotation of the key of cluster a's Secrets was interrupted" in preview
    said = made.project.azlocal("rotate-keys").expect().output
    assert "a rotation was interrupted, which goes on" in said
    after = made.key_of("kept")
    assert after != before
    for machine in (FIRST, SECOND, THIRD):
        assert made.keys_on(machine) == [after]
    assert made.password("kept") == "never-in-plain-text"
    assert a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, a.worker), True)
    project.up("--expect-no-changes").expect()


def test_three_control_planes_go_back_together(made: Made) -> None:
    made.project.azlocal("backup").expect()
    snapshot = made.snapshots()[-1]["name"]
    made.write("fifth")
    made.project.azlocal("restore", "a", snapshot, "--yes").expect()
    assert not made.has("fifth")
    assert members(made, SECOND) == [FIRST, SECOND, THIRD]
    assert made.a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, made.a.worker), True)
    made.project.up("--expect-no-changes").expect()


def test_with_quorum_lost_up_names_the_restore_which_brings_it_back_without_a_loss(made: Made) -> None:
    a, project = made.a, made.project
    made.write("sixth")
    for machine in (FIRST, SECOND):
        gone(machine)
    project.refresh()
    with waits_less_than(120, "Nobody waits for what no repair brings back."):
        refused = project.up(timeout=600)
    assert refused.code != 0
    assert f"azlocal restore {INSTANCE} a" in " ".join(refused.output.split())
    made.project.azlocal("restore", "a", "--yes").expect()
    assert made.has("sixth"), "it was in no snapshot, and the control plane that stands has it"
    assert members(made, THIRD) == [THIRD]
    project.up(timeout=1500).expect()
    assert members(made, THIRD) == [FIRST, SECOND, THIRD]
    assert a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, a.worker), True)
    eventually(lambda: a.unfinished_pods() == [], "every pod runs")
    project.up("--expect-no-changes").expect()


def test_a_drill_loses_quorum_and_comes_back_by_the_newest_snapshot(made: Made) -> None:
    made.write("before")
    made.project.azlocal("backup").expect()
    snapshot = made.snapshots()[-1]["name"]
    made.write("after")
    drill = made.project.drill("lose-quorum", "--machine", SECOND, "--hold", "5").healed()
    assert drill.result["machines"] == [SECOND, FIRST]
    said = " ".join(drill.output.split())
    assert "etcd has no quorum, and " in said or "has lost its quorum" in said, "`up` says so"
    names = r"restore the cluster from what (still )?stands or from a snapshot \(`azlocal restore \S+ a`\)"
    assert re.search(names, said), "and names the restore"
    assert f"azlocal restore {INSTANCE} a {snapshot} --yes" in said
    assert drill.result["writes"]["undoneByRestore"] > 0, "those from its beginning until quorum was lost"
    seconds = drill.result["seconds"]
    assert 5 + seconds["refused"] < seconds["apiReachable"] < seconds["nodesReady"] <= seconds["healthy"]
    assert not made.has("after")
    assert made.has("before")
    assert members(made, THIRD) == [FIRST, SECOND, THIRD]
    assert made.a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, made.a.worker), True)
    made.project.up("--expect-no-changes").expect()


def test_snapshots_go_with_the_instance(made: Made) -> None:
    assert list(FOLDER.iterdir())
    made.project.destroy().expect()
    assert not FOLDER.exists()


def members(made: Made, plane: str) -> list[str]:
    """Return the voting members of etcd, as one of them tells."""
    pki = "/etc/kubernetes/pki/etcd"
    files = ["--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key"]
    url = "https://127.0.0.1:2379/v3/cluster/member/list"
    said = on(made.project, plane, "sudo", "curl", "--silent", "--fail", *files, "--data", "'{}'", url)
    return sorted(each["name"] for each in json.loads(said)["members"] if not each.get("isLearner"))
