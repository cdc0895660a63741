"""A cluster goes two minors further by one edit of `kubernetesVersion`, and serves all the while.

One cluster of one control plane and two workers; each test is a step that goes on from the one before.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from infra.image.build import build_node_image
from infra.model.versions import BUILT, DEFAULT
from tests.cluster import (
    Kubernetes,
    claim,
    eventually,
    kubernetes,
    kubernetes_cluster,
    load_balancer_address,
    pod_with_claim,
)
from tests.instance import INSTANCE, projects, virsh
from tests.project import Project
from tests.service_clients import asked_all_the_while, serve_without_a_break

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.chain]  # it compiles two other Kubernetes

OLD, MIDDLE = (
    next(version for version in BUILT if int(version.minor) == int(DEFAULT.minor) - behind) for behind in (2, 1)
)
SPARE = f"{INSTANCE}-a-spare"
SILENCE_SECONDS = 5
KUBELET, KUBEADM = ("kubelet-config", "kubelet"), ("kubeadm-config", "ClusterConfiguration")
COREFILE = ("coredns", "Corefile")
MINE = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    hosts {
        192.0.2.7 mine.example.com
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
"""
POOL = [{"name": "pool1", "count": 2, "vmSize": "Node"}]


@dataclass(frozen=True)
class Made:
    """A project with a cluster that begins at the older version."""

    project: Project
    a: Kubernetes

    def versions(self) -> dict[str, str]:
        """Return each node's version, as its kubelet says it."""
        nodes = self.a.get("nodes")["items"]
        return {node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes}

    def births(self) -> dict[str, str]:
        """Return by what each Node object is known from an earlier one of its name."""
        nodes = self.a.get("nodes")["items"]
        return {node["metadata"]["name"]: str(node["metadata"]["uid"]) for node in nodes}

    def image(self, what: str) -> str:
        """Return the image that a workload in kube-system runs."""
        containers = self.a.get(what, "--namespace=kube-system")["spec"]["template"]["spec"]["containers"]
        return str(containers[0]["image"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    for version in (OLD, MIDDLE):
        build_node_image(print, version=version, vm_disk=False)
    with projects(tmp_path_factory.mktemp("upgrade"), shared=True) as make:
        project = make(clusters=[kubernetes_cluster(kubernetesVersion=OLD.version, agentPools=POOL)])
        project.up(timeout=1500).expect()
        yield Made(project, kubernetes(project, "a"))


def document(a: Kubernetes, name: str, key: str) -> str:
    """Return a document in a ConfigMap of kube-system."""
    return str(a.get("configmap", name, "--namespace=kube-system")["data"][key])


def write(a: Kubernetes, name: str, key: str, text: str) -> None:
    """Write a document in a ConfigMap of kube-system, as `kubectl edit` does."""
    patch = json.dumps({"data": {key: text}})
    a.kubectl("patch", "configmap", name, "--namespace=kube-system", "--type=merge", f"--patch={patch}")


def edit(made: Made, version: str, **changes: Any) -> None:
    made.project.edit(clusters=[kubernetes_cluster(kubernetesVersion=version, agentPools=POOL, **changes)])


def test_it_stands_at_the_older_version_with_data_and_a_service_that_may_lose_one_replica(made: Made) -> None:
    assert set(made.versions().values()) == {OLD.tag}
    serve_without_a_break(made.a)
    made.a.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"written": "before"}}
    )
    assert load_balancer_address(made.a, "web")
    write(made.a, *COREFILE, MINE)
    made.a.apply(
        claim("data", "default"), pod_with_claim("data", made.a.worker, "echo old >/data/file && exec sleep 1d")
    )
    made.a.wait("condition=Ready", "pod/data")


@pytest.mark.parametrize(
    ("version", "rule"),
    [(DEFAULT.version, "skipped-minor"), ("1.35.0", "kubernetes-version")],
    ids=["two minors in one run of the engine", "unknown"],
)
def test_preview_refuses_where_there_is_no_way(made: Made, version: str, rule: str) -> None:
    edit(made, version)
    said = made.project.pulumi("preview")
    assert said.code != 0
    assert rule in said.output
    assert set(made.versions().values()) == {OLD.tag}


def test_preview_refuses_what_a_version_on_the_way_does_not_take_before_anything_is_changed(made: Made) -> None:
    """The first version of the way has no AppArmor gate any more, and the last one no ElasticIndexedJob."""
    before = {place: document(made.a, *place) for place in (KUBELET, KUBEADM)}
    kubelet, kubeadm = (yaml.safe_load(text) for text in before.values())
    kubelet["featureGates"] = {"ElasticIndexedJob": True}
    kubeadm["apiServer"]["extraArgs"].append({"name": "feature-gates", "value": "AppArmor=true"})
    write(made.a, *KUBELET, yaml.safe_dump(kubelet))
    write(made.a, *KUBEADM, yaml.safe_dump(kubeadm))
    edit(made, DEFAULT.version)
    refused = made.project.azlocal("preview")
    for place, text in before.items():
        write(made.a, *place, text)
    output = " ".join(refused.output.split())
    assert refused.code != 0
    of_api = f"kube-apiserver of Kubernetes {MIDDLE.version} doesn't start with --feature-gates=AppArmor=true"
    assert (
        f"{of_api}: unrecognized feature gate: AppArmor. It stands in ConfigMap kube-system/kubeadm-config"
        in output
    )
    assert f"kubelet of Kubernetes {DEFAULT.version} doesn't start with --feature-gates=ElasticIndexed" in output
    assert f"{MIDDLE.version} doesn't start with --feature-gates=ElasticIndexed" not in output
    assert "removed-feature-gate" in output
    assert set(made.versions().values()) == {OLD.tag}


def test_preview_lists_every_machine_and_what_becomes_of_it(made: Made) -> None:
    edit(made, MIDDLE.version)
    said = made.project.pulumi("preview").expect().output
    change = f"Kubernetes {OLD.version} → {MIDDLE.version}"
    assert f"{made.a.control_plane} is replaced for {change}: another control plane joins" in said
    for number in (0, 1):
        assert f"{INSTANCE}-a-pool1-{number} is replaced for {change}, after the control planes, drained" in said


def test_an_upgrade_that_is_killed_before_a_control_plane_has_changed_goes_back_by_its_edit(made: Made) -> None:
    kill_upgrade(made, lambda names: SPARE in names)
    born = made.births()
    edit(made, OLD.version)
    made.project.settle().expect()
    made.project.up(timeout=900).expect()
    assert made.births() == born, "no node was replaced"
    assert set(made.versions().values()) == {OLD.tag}
    assert f"kubernetesVersion: {OLD.tag}" in document(made.a, *KUBEADM)
    assert SPARE not in virsh("list", "--all", "--name")
    assert made.a.get("configmap", "kept")["data"] == {"written": "before"}
    made.project.up("--expect-no-changes").expect()


def test_an_upgrade_that_is_killed_as_the_control_plane_is_gone_leaves_a_cluster_that_answers(made: Made) -> None:
    kill_upgrade(made, lambda names: f"{INSTANCE}-a-cp-0" not in names)


def kill_upgrade(made: Made, point: Callable[[list[str]], bool]) -> None:
    """Kill an upgrade at a point, which the machines that stand tell; the cluster answers, and has its data."""
    edit(made, MIDDLE.version)
    killed = made.project.begin("up", "--yes", "--skip-preview", stack=True)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(killed.stdout or ()))  # else it waits to be read
    reader.start()

    def reached() -> bool:
        assert killed.poll() is None, said
        return point(virsh("list", "--all", "--name").split())

    try:
        eventually(reached, "the point is reached", 900)
    finally:
        with killed:
            os.killpg(killed.pid, signal.SIGKILL)
            reader.join()
        print("".join(said))  # noqa: T201
    made.project.reap()
    made.project.settle().expect()
    eventually(lambda: made.a.run("get", "nodes", "--request-timeout=3s").returncode == 0, "the API answers", 60)
    assert made.a.get("configmap", "kept")["data"] == {"written": "before"}


def test_an_edit_brings_every_node_two_minors_further_and_the_cluster_serves_meanwhile(made: Made) -> None:
    edit(made, DEFAULT.version)
    with asked_all_the_while(made.a) as clients:
        made.project.azlocal("up", timeout=1800).expect()
    print(f"two minors, {clients}")  # noqa: T201
    assert clients.silence < SILENCE_SECONDS, str(clients)
    workers = {version for name, version in clients.seen if name != made.a.control_plane and name != SPARE}
    assert workers == {OLD.tag, DEFAULT.tag}, "workers skip the minor between"
    assert (made.a.control_plane, MIDDLE.tag) in clients.seen, "control planes don't"
    assert set(made.versions().values()) == {DEFAULT.tag}
    assert made.versions().keys() == {made.a.control_plane, *(f"{INSTANCE}-a-pool1-{n}" for n in (0, 1))}
    assert made.a.get("configmap", "kept")["data"] == {"written": "before"}
    assert made.image("daemonset/kube-proxy").endswith(f":{DEFAULT.tag}")
    assert document(made.a, *COREFILE) == MINE, "CoreDNS goes on with what somebody wrote"
    assert clients.lost == 0, "what the API acknowledged is there"
    eventually(lambda: made.a.unfinished_pods() == [], "every pod runs")


def test_nothing_is_left_of_the_machine_that_stood_in(made: Made) -> None:
    assert SPARE not in virsh("list", "--all", "--name")
    # With a member more that answers nobody, etcd would have no quorum, and no list.
    etcd = made.a.kubectl("get", "pods", "--namespace=kube-system", "--selector=component=etcd", "--output=name")
    assert etcd.split() == [f"pod/etcd-{made.a.control_plane}"]
    made.project.up("--expect-no-changes").expect()


def test_a_volume_on_the_disk_of_a_worker_is_there_after_two_replacements(made: Made) -> None:
    made.a.kubectl("delete", "pod/data", "--ignore-not-found")
    made.a.apply(pod_with_claim("data", made.a.worker))
    made.a.wait("condition=Ready", "pod/data")
    assert made.a.said("data", "cat /data/file") == "old"
    made.a.kubectl("delete", "pod/data", "pvc/data")


def test_there_is_no_way_back(made: Made) -> None:
    edit(made, MIDDLE.version)
    said = made.project.pulumi("preview")
    assert said.code != 0
    assert "downgrade" in said.output


def test_a_newer_node_image_is_rolled_out_where_the_cluster_says_so(made: Made) -> None:
    """State says that nodes were made from another image, as after an update of azlocal."""
    made.project.change_state(lambda resource: _age(resource) if resource["type"].endswith(":Machine") else None)
    born = made.births()
    edit(made, DEFAULT.version)
    assert "stays on the node image that it was made from" in made.project.pulumi("preview").expect().output
    edit(made, DEFAULT.version, autoUpgradeProfile={"nodeOSUpgradeChannel": "NodeImage"})
    said = made.project.pulumi("preview").expect().output
    for name in born:
        assert f"{name} is replaced for the current node image" in said
    with asked_all_the_while(made.a) as clients:
        made.project.up(timeout=1500).expect()
    print(f"a node image, {clients}")  # noqa: T201
    assert clients.silence < SILENCE_SECONDS, str(clients)
    assert clients.written, "the API takes writes"
    assert clients.lost == 0, "what the API acknowledged is there"
    now = made.births()
    assert now.keys() == born.keys()
    assert not {*now.values()} & {*born.values()}, "every node was replaced"
    assert SPARE not in virsh("list", "--all", "--name")
    assert made.a.get("configmap", "kept")["data"] == {"written": "before"}
    made.project.up("--expect-no-changes").expect()


def _age(resource: dict[str, Any]) -> None:
    for side in ("inputs", "outputs"):
        if (resource[side].get("firstBoot") or {}).get("node"):
            resource[side]["image"] = "azlocal-node-of-before"
