"""Control planes of a real cluster: what a power cut leaves of its founding, one that becomes three, certificates.

One cluster serves all tests of this file, each a step that goes on from the one before.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.kubernetes.certificates import served_end
from infra.kubernetes.kubeconfig import select_cluster
from tests import kube_bench
from tests.cluster import Kubernetes, eventually, kubernetes, kubernetes_cluster
from tests.instance import INSTANCE, on, on_known, power_off, projects, virsh
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
    said = on(made.project, FIRST, "sudo", "journalctl", "--unit", "kubelet", "--output=cat")
    skipped = "was skipped because no trigger condition checks were met"
    assert skipped in said, "kubelet ran none of what was left, an API server among it"


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


def only_holder(project: Project, endpoint: str, *planes: str, seconds: float = 60) -> str:
    """Return the control plane that has the cluster's address, once one alone does.

    On a busy machine an API server may be late to say that it is ready, and the address moves.
    """

    def only() -> str | None:
        having = holders(project, endpoint, *planes)
        return having[0] if len(having) == 1 else None

    return str(eventually(only, f"one of {', '.join(planes)} has the address", seconds))


def knows(project: Project, plane: str, others: set[str]) -> bool:
    """Tell whether a control plane holds the cluster's address with these others, and with no more."""
    listed = on(project, plane, "sudo cat /etc/keepalived/peers.conf || true").split()
    return set(listed[2:-1]) == others


def test_one_control_plane_becomes_three_which_know_each_other(made: Made) -> None:
    """Though the power of the first that joins goes as soon as etcd decides nothing without it."""
    a, project = made.a, made.project
    before = a.get("namespace", "kube-system")["metadata"]["uid"]
    rules = on(project, FIRST, "sudo", "nft", "list", "table", "ip", "azlocal_vrrp")
    assert "saddr" not in rules, "alone, it listens to nobody"
    planes = {"count": 3, "vmSize": "Node"}
    project.edit(clusters=[kubernetes_cluster(controlPlane=planes, timeoutMinutes=15)])
    known = project.outputs()["machines"][FIRST]
    with ThreadPoolExecutor() as pool:
        run = pool.submit(project.up, timeout=1500)
        joined = eventually(lambda: run.done() or joining_voters(project, known), "another member has a vote", 900)
        assert isinstance(joined, list), run.result().output
        power_off(joined[0])
        virsh("start", joined[0])
        run.result().expect()
    assert a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, a.worker), True)
    assert a.get("namespace", "kube-system")["metadata"]["uid"] == before
    assert a.get("configmap", "kept", "--namespace=kube-system")
    members = etcd(known, project, "member/list")["members"]
    assert sorted(one["name"] for one in members if not one.get("isLearner")) == [FIRST, SECOND, THIRD]
    own = {name: one["address"] for name, one in project.outputs()["machines"].items()}
    for plane in (FIRST, SECOND, THIRD):
        others = {own[one] for one in (FIRST, SECOND, THIRD) if one != plane}
        # It is Ready a moment before it holds the address with the others.
        eventually(partial(knows, project, plane, others), f"{plane} knows the others", 60)
    only_holder(project, made.endpoint, FIRST, SECOND, THIRD)
    project.up("--expect-no-changes").expect()
    project.refresh("--expect-no-changes").expect()


def test_the_address_moves_when_its_holder_stops_and_only_one_has_it(made: Made) -> None:
    a, project = made.a, made.project
    planes = {FIRST, SECOND, THIRD}
    holder = only_holder(project, made.endpoint, *planes)
    power_off(holder)
    others = sorted(planes - {holder})
    only_holder(project, made.endpoint, *others)
    eventually(lambda: a.run("get", "nodes", "--request-timeout=3s").returncode == 0, "the API answers", 60)
    started = datetime.now(UTC).replace(microsecond=0)
    virsh("start", holder)
    eventually(lambda: seen_ready(a, holder) > started, "its kubelet says that it is Ready", 180)
    took = seen_ready(a, holder) - started
    assert took < timedelta(seconds=90), "it took minutes while its former life's control groups were asked for"
    only_holder(project, made.endpoint, *planes)


def test_the_address_is_handed_over_before_its_holder_goes(made: Made) -> None:
    project, planes = made.project, (FIRST, SECOND, THIRD)
    holder = only_holder(project, made.endpoint, *planes)
    endpoint = ("sudo", "/usr/lib/azlocal/api-endpoint")
    assert "is held by another control plane" in on(project, holder, *endpoint, "hand-over")
    other = only_holder(project, made.endpoint, *planes)
    assert other != holder
    on(project, holder, *endpoint, "take-part")
    assert made.a.nodes() == dict.fromkeys((*planes, made.a.worker), True)


def test_the_address_leaves_an_api_server_that_is_killed_and_does_not_come_back(made: Made) -> None:
    project, planes = made.project, (FIRST, SECOND, THIRD)
    holder = only_holder(project, made.endpoint, *planes)
    drill = project.drill("kill-api-server").healed()
    assert drill.result["machines"] == [holder], "unless another one is named, it is who has the address"
    assert drill.result["seconds"]["apiReachable"] < 10, "another one has the address by then"
    own = project.outputs()["machines"][holder]["address"]
    assert asked(f"https://{own}:6443/readyz") == "200", "a cluster is healthy when all API servers are"
    only_holder(project, made.endpoint, *sorted({*planes} - {holder}))
    eventually(lambda: on(project, holder, "cat", "/run/azlocal/api-server-fault") == "0", "it may hold it", 30)
    assert holders(project, made.endpoint, holder) == []


def test_a_lost_control_plane_is_replaced_by_up_and_founds_no_second_cluster(made: Made) -> None:
    """The first one, whose seed could found a cluster; what it left in etcd and among the nodes goes first."""
    a, project = made.a, made.project
    before = a.get("namespace", "kube-system")["metadata"]["uid"]
    with waits_less_than(600, "A re-created control plane joins within minutes."):
        drill = project.drill("lose-control-plane", "--machine", FIRST).healed()
    assert f"remove what {FIRST} left in etcd" in drill.output
    assert 0 < drill.result["seconds"]["nodesReady"] <= drill.result["seconds"]["healthy"]
    assert drill.result["seconds"]["readGap"] < 30, "etcd and the address stay with the others"
    assert a.nodes() == dict.fromkeys((FIRST, SECOND, THIRD, a.worker), True)
    assert a.get("namespace", "kube-system")["metadata"]["uid"] == before
    second = project.outputs()["machines"][SECOND]
    members = etcd(second, project, "member/list")["members"]
    assert sorted(member["name"] for member in members if not member.get("isLearner")) == [FIRST, SECOND, THIRD]
    log = on(project, FIRST, "sudo", "journalctl", "--unit", "azlocal-node", "--output=cat")
    assert "the cluster stands: this machine joins it" in log
    project.up("--expect-no-changes").expect()


def joining_voters(project: Project, known: Mapping[str, Any]) -> list[str]:
    """Return which control planes but the first have a vote in etcd, by whose machine is asked."""
    try:
        members = etcd(known, project, "member/list")["members"]
    except subprocess.CalledProcessError:
        return []  # while a member comes, etcd may decide nothing
    return [one["name"] for one in members if one.get("name") not in (None, FIRST) and not one.get("isLearner")]


def etcd(known: Mapping[str, Any], project: Project, call: str, **body: str) -> Any:
    """Ask the cluster's etcd by the member on a control plane, as etcdctl would."""
    pki = "/etc/kubernetes/pki/etcd"
    files = ["--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key"]
    url = f"https://127.0.0.1:2379/v3/cluster/{call}"
    asked = ("sudo", "curl", "--silent", "--show-error", "--fail", *files, "--data", "@-", url)
    return json.loads(on_known(project, known, *asked, stdin=json.dumps(body)))


# -- certificates ---------------------------------------------------------------------------------

CONFIGURATION = """
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.34.4
encryptionAlgorithm: ECDSA-P256
certificateValidityPeriod: {}
"""


def renew_by_hand(project: Project, plane: str, period: str) -> None:
    """Have a control plane serve certificates that end that long after five minutes ago."""
    on(project, plane, "sudo", "tee", "/root/short.yaml", stdin=CONFIGURATION.format(period))
    on(project, plane, "sudo", "kubeadm", "certs", "renew", "all", "--config", "/root/short.yaml")
    on(project, plane, "sudo", "pkill", "-x", "'etcd|kube-apiserver|kube-controller|kube-scheduler'")


def test_certificates_that_end_soon_are_renewed_by_up(made: Made) -> None:
    a, project = made.a, made.project
    own = project.outputs()["machines"][SECOND]["address"]
    renew_by_hand(project, SECOND, "720h0m0s")
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


def test_a_cluster_whose_certificates_have_all_ended_is_repaired_by_one_up(made: Made) -> None:
    """etcd's members refuse each other and their API servers: nothing answers, and none comes back alone."""
    a, project = made.a, made.project
    planes = (FIRST, SECOND, THIRD)
    drill = project.drill("expire-certificates", "--hold", "30").healed()
    assert drill.result["seconds"]["apiReachable"] > 30, "nothing answered before `up`"
    for plane in planes:
        assert f"the certificates of {plane} are renewed" in drill.output
        end = served_end(project.outputs()["machines"][plane]["address"])
        assert end is not None
        assert end > datetime.now(UTC) + timedelta(days=3600)
    assert a.nodes() == dict.fromkeys((*planes, a.worker), True)
    assert a.get("configmap", "kept", "--namespace=kube-system")
    project.up("--expect-no-changes").expect()


# -- fewer control planes -------------------------------------------------------------------------


def test_three_control_planes_become_one_and_nothing_is_lost(made: Made) -> None:
    a, project = made.a, made.project
    before = a.get("namespace", "kube-system")["metadata"]["uid"]
    project.edit(clusters=[kubernetes_cluster(timeoutMinutes=15)])
    run = project.up(timeout=1500).expect()
    for plane in (SECOND, THIRD):
        assert f"remove {plane} from etcd" in run.output
        assert plane not in virsh("list", "--all", "--name").split()
    assert a.nodes() == {FIRST: True, a.worker: True}
    assert a.get("namespace", "kube-system")["metadata"]["uid"] == before
    assert a.get("configmap", "kept", "--namespace=kube-system")
    first = project.outputs()["machines"][FIRST]
    assert [member["name"] for member in etcd(first, project, "member/list")["members"]] == [FIRST]
    assert holders(project, made.endpoint, FIRST) == [FIRST]
    rules = on(project, FIRST, "sudo", "nft", "list", "table", "ip", "azlocal_vrrp")
    assert "saddr" not in rules, "alone, it listens to nobody"
    project.up("--expect-no-changes").expect()


def test_a_drill_that_would_cost_a_cluster_its_quorum_is_refused(made: Made) -> None:
    refused = made.project.drill("lose-control-plane").expect(2)
    assert f"etcd would have no quorum without {FIRST}" in " ".join(refused.output.split())
    assert FIRST in virsh("list", "--name").split()
    assert "is no host of a lab" in made.project.drill("lose-host").expect(2).output


def test_with_the_only_control_plane_lost_up_changes_nothing_and_says_what_can_be_done(made: Made) -> None:
    power_off(FIRST)
    virsh("undefine", FIRST)
    # It fails for what is in the cluster, which nobody can look at; that the machine is gone is in state then.
    assert f"control plane {FIRST} is gone from" in made.project.refresh().output
    with waits_less_than(120, "Nobody waits for what no repair brings back."):
        run = made.project.up(timeout=600)
    assert run.code != 0
    assert "add it again (quorum-lost)" in " ".join(run.output.split())
