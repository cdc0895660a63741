"""Control planes of a real cluster: what a power cut leaves of its founding, one that becomes three, certificates.

One cluster serves all tests of this file, each a step that goes on from the one before.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.kubernetes.certificates import served_end
from infra.kubernetes.kubeconfig import select_cluster
from tests import kube_bench
from tests.cluster import Kubernetes, eventually, kubernetes, kubernetes_cluster
from tests.instance import INSTANCE, on, power_off, projects, virsh
from tests.project import Project
from tests.waiting import waits_less_than

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.chain]

FIRST, SECOND, THIRD = (f"{INSTANCE}-a-cp-{number}" for number in range(3))
NODE_FOLDER = "/etc/azlocal/node"


@dataclass(frozen=True)
class Made:
    """A project whose cluster's power went while it was founded."""

    project: Project
    a: Kubernetes

    @property
    def endpoint(self) -> str:
        """The cluster's address."""
        return str(self.project.outputs()["clusters"]["a"]["endpoint"]).removeprefix("https://").partition(":")[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("control-planes")
    with projects(folder, shared=True) as make:
        project = make(clusters=[kubernetes_cluster(timeoutMinutes=15)])
        if not project.kinds()["ControlPlane"]:  # else it is kept (tests/kept.py)
            # Without an API server it ends with an error, or waits: whichever comes first.
            thread = threading.Thread(target=lambda: project.up(timeout=1500))
            thread.start()
            try:
                cut_the_power(project, folder)
            finally:
                thread.join()
            project.settle().expect()
        project.up(timeout=1500).expect()
        yield Made(project, kubernetes(project, "a"))


def cut_the_power(project: Project, folder: Path) -> None:
    """Write something into a cluster that is still being founded, then switch the founder off and on."""
    early = eventually(lambda: kubeconfig(project, folder), "the cluster's keys are in state", 300)
    assert early is not None
    write = ("create", "configmap", "kept", "--namespace=kube-system", "--request-timeout=3s")
    eventually(lambda: early.run(*write).returncode == 0, "the API server takes what is written", 300)
    power_off(FIRST)
    virsh("start", FIRST)


def kubeconfig(project: Project, folder: Path) -> Kubernetes | None:
    """Return the cluster by its identity in state; None as long as there is none."""
    exported = project.pulumi("stack", "export", "--show-secrets")
    if exported.code:
        return None
    resources = json.loads(exported.output)["deployment"].get("resources") or []
    found = [one["outputs"] for one in resources if one["type"].endswith(":ClusterIdentity")]
    if not found or FIRST not in virsh("list", "--name").split():
        return None
    path = folder / "early.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(select_cluster(json.loads(found[0]["kubeconfig"]["plaintext"]), f"{INSTANCE}-a"))
    return Kubernetes("a", path)


def test_a_power_cut_while_it_is_founded_costs_a_cluster_nothing(made: Made) -> None:
    assert made.a.get("configmap", "kept", "--namespace=kube-system")["metadata"]["name"] == "kept"
    assert made.a.nodes() == {made.a.control_plane: True, made.a.worker: True}
    for machine in (made.a.control_plane, made.a.worker):
        assert on(made.project, machine, "sudo", "ls", "/etc/azlocal") == ""


def test_what_a_new_cluster_is_held_to(made: Made) -> None:
    a, project = made.a, made.project
    privileged = {"securityContext": {"privileged": True}, "name": "main", "image": "x"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [privileged]}}
    refused = a.run("apply", "--filename", "-", stdin=json.dumps(pod))
    assert 'violates PodSecurity "baseline:latest": privileged' in refused.stderr
    server = f"https://{made.endpoint}:6443"
    assert {path: asked(f"{server}{path}") for path in ("/livez", "/readyz", "/healthz", "/version", "/api")} == {
        **dict.fromkeys(("/livez", "/readyz", "/healthz"), "200"),
        **dict.fromkeys(("/version", "/api"), "401"),
    }
    assert asked(f"{server}/api/v1/namespaces/kube-public/configmaps/cluster-info") == "200"
    a.kubectl("get", "secrets", "--namespace=kube-system")
    log = eventually(
        lambda: [
            event
            for event in audited(project)
            if event["user"]["username"] == "azlocal-administrator" and event["objectRef"]["resource"] == "secrets"
        ],
        "the audit log tells who read secrets",
        30,
    )
    assert all("responseObject" not in event for event in log)
    assert on(project, FIRST, "sudo", "ls", "/etc/kubernetes").split() == [
        *("admin.conf", "azlocal", "controller-manager.conf", "kubelet.conf"),
        *("manifests", "pki", "scheduler.conf"),
    ]


def asked(url: str) -> str:
    """Return the status with which a server answers somebody without a name."""
    command = ["curl", "--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}", url]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout


def audited(project: Project) -> list[dict[str, dict[str, str]]]:
    lines = on(project, FIRST, "sudo", "tail", "--lines=500", "/var/log/kubernetes/audit/audit.log").splitlines()
    return [event for line in lines if "objectRef" in (event := json.loads(line))]


@pytest.mark.parametrize("role", ["controlPlane", "worker"])
def test_a_node_passes_the_cis_benchmark_but_for_what_is_accepted(made: Made, role: str) -> None:
    machine = made.a.control_plane if role == "controlPlane" else made.a.worker
    found = kube_bench.failures(made.project, machine, role)
    assert set(found) == set(kube_bench.accepted(role)), found


# -- more control planes --------------------------------------------------------------------------


def seen_ready(a: Kubernetes, node: str) -> datetime:
    """Return when a node's kubelet last said that it is Ready; long ago where it says something else."""
    conditions = {one["type"]: one for one in a.get("node", node)["status"]["conditions"]}
    ready = conditions["Ready"]
    said = datetime.fromisoformat(ready["lastHeartbeatTime"].replace("Z", "+00:00"))
    return said if ready["status"] == "True" else datetime.min.replace(tzinfo=UTC)


def holders(project: Project, endpoint: str, *planes: str) -> list[str]:
    """Return the control planes that have the cluster's address."""
    return [one for one in planes if f" {endpoint}/32 " in on(project, one, "ip", "-oneline", "address")]


def test_one_control_plane_becomes_three_which_know_each_other(made: Made) -> None:
    a, project = made.a, made.project
    rules = on(project, FIRST, "sudo", "nft", "list", "table", "ip", "azlocal_vrrp")
    assert "saddr" not in rules, "alone, it listens to nobody"
    planes = {"count": 3, "vmSize": "Node"}
    project.edit(clusters=[kubernetes_cluster(controlPlane=planes, timeoutMinutes=15)])
    project.up(timeout=1500).expect()
    assert a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, a.worker), True)
    own = {name: one["address"] for name, one in project.outputs()["machines"].items()}
    for plane in (FIRST, SECOND, THIRD):
        others = {own[one] for one in (FIRST, SECOND, THIRD) if one != plane}
        found = on(project, plane, "sudo", "cat", "/etc/keepalived/peers.conf").split()
        assert set(found[2:-1]) == others
    assert len(holders(project, made.endpoint, FIRST, SECOND, THIRD)) == 1
    project.up("--expect-no-changes").expect()
    project.refresh("--expect-no-changes").expect()


def test_the_address_moves_when_its_holder_stops_and_only_one_has_it(made: Made) -> None:
    a, project = made.a, made.project
    planes = {FIRST, SECOND, THIRD}
    (holder,) = holders(project, made.endpoint, *planes)
    power_off(holder)
    others = sorted(planes - {holder})
    eventually(lambda: len(holders(project, made.endpoint, *others)) == 1, "another one has the address", 30)
    eventually(lambda: a.run("get", "nodes", "--request-timeout=3s").returncode == 0, "the API answers", 60)
    started = datetime.now(UTC).replace(microsecond=0)
    virsh("start", holder)
    eventually(lambda: seen_ready(a, holder) > started, "its kubelet says that it is Ready", 180)
    took = seen_ready(a, holder) - started
    assert took < timedelta(seconds=90), "it took minutes while its former life's control groups were asked for"
    eventually(lambda: len(holders(project, made.endpoint, *planes)) == 1, "one of them has the address", 30)


def test_a_control_plane_that_is_lost_makes_up_fail_at_once(made: Made) -> None:
    power_off(FIRST)
    virsh("undefine", FIRST)
    lost = f"control plane {FIRST} is gone from"
    assert lost in made.project.refresh().expect().output
    with waits_less_than(120, "Two of three aren't what up calls done, and nobody waits for the third."):
        run = made.project.up(timeout=600)
        assert run.code != 0
        assert lost in run.output


def test_the_first_control_plane_made_anew_by_hand_joins_and_founds_no_second_cluster(made: Made) -> None:
    """As `up` says: its member of etcd is removed, then the machine is replaced."""
    a, project = made.a, made.project
    before = a.get("namespace", "kube-system")["metadata"]["uid"]
    (member,) = (one["ID"] for one in etcd(project, "member/list")["members"] if one["name"] == FIRST)
    etcd(project, "member/remove", ID=member)
    (urn,) = (one["urn"] for one in project.state()["resources"] if one["urn"].endswith(f"index:Machine::{FIRST}"))
    project.up("--replace", urn, timeout=1500).expect()
    assert a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, a.worker), True)
    assert a.get("namespace", "kube-system")["metadata"]["uid"] == before
    assert {one["name"] for one in etcd(project, "member/list")["members"]} == {FIRST, SECOND, THIRD}
    said = on(project, FIRST, "sudo", "journalctl", "--unit", "azlocal-node", "--output=cat")
    assert "the cluster stands: this machine joins it" in said


def etcd(project: Project, call: str, **body: str) -> Any:
    """Ask the cluster's etcd by the member on the second control plane, as etcdctl would."""
    pki = "/etc/kubernetes/pki/etcd"
    files = ["--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key"]
    url = f"https://127.0.0.1:2379/v3/cluster/{call}"
    asked = ("sudo", "curl", "--silent", "--show-error", "--fail", *files, "--data", "@-", url)
    return json.loads(on(project, SECOND, *asked, stdin=json.dumps(body)))


# -- certificates ---------------------------------------------------------------------------------

SHORT = """
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.34.4
encryptionAlgorithm: ECDSA-P256
certificateValidityPeriod: 720h0m0s
"""


def test_certificates_that_end_soon_are_renewed_by_up(made: Made) -> None:
    a, project = made.a, made.project
    own = project.outputs()["machines"][SECOND]["address"]
    on(project, SECOND, "sudo", "tee", "/root/short.yaml", stdin=SHORT)
    on(project, SECOND, "sudo", "kubeadm", "certs", "renew", "all", "--config", "/root/short.yaml")
    on(project, SECOND, "sudo", "pkill", "-x", "kube-apiserver")
    soon = datetime.now(UTC) + timedelta(days=31)
    eventually(lambda: (end := served_end(own)) is not None and end < soon, "it serves a short one", 120)
    eventually(lambda: a.run("get", "nodes").returncode == 0, "the API answers", 60)

    assert "the certificates of cluster a end on" in project.refresh().expect().output
    run = project.up(timeout=900).expect()
    assert f"the certificates of {SECOND} are renewed" in run.output
    assert f"the certificates of {FIRST} are renewed" not in run.output
    late = datetime.now(UTC) + timedelta(days=3600)
    end = served_end(own)
    assert end is not None
    assert end > late
    assert a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, a.worker), True)
    expiry = on(project, SECOND, "sudo", "kubeadm", "certs", "check-expiration")
    assert " 29d " not in expiry
    project.up("--expect-no-changes").expect()
