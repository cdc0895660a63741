"""Pools of a real cluster: what nodes take as they run, what is put back, nodes and pools that come and go.

One cluster serves all tests of this file, each a step that goes on from the one before.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.cluster import (
    EVERYWHERE,
    Kubernetes,
    claim,
    container,
    eventually,
    kubernetes,
    kubernetes_cluster,
    pod_spec,
    pod_with_claim,
)
from tests.instance import INSTANCE, address, on, projects, steps, use_key, virsh
from tests.project import Project

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.chain]

TIER, POOL = "example.com/tier", "kubernetes.azure.com/agentpool"


@dataclass(frozen=True)
class Made:
    """A project with a cluster of one control plane and one worker."""

    project: Project
    a: Kubernetes

    def edit(self, *more: Mapping[str, Any], count: int = 1, **pool: Any) -> None:
        """Write the first pool, and others beside it."""
        first = {"name": "pool1", "count": count, "vmSize": "Node", **pool}
        self.project.edit(clusters=[kubernetes_cluster(agentPools=[first, *more])])

    def node(self, name: str = "") -> dict[str, Any]:
        return self.a.get("node", name or self.a.worker)

    def machines(self) -> dict[str, tuple[str, str]]:
        """Return by which libvirt knows each machine, and its present run."""
        names = self.project.outputs()["machines"]
        return {name: (virsh("domuuid", name), virsh("domid", name)) for name in names}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with projects(tmp_path_factory.mktemp("pools"), shared=True) as make:
        project = make(clusters=[kubernetes_cluster()])
        project.up(timeout=900).expect()
        yield Made(project, kubernetes(project, "a"))


def labels(node: Mapping[str, Any]) -> dict[str, str]:
    """Return a node's labels, less Kubernetes' own."""
    own = ("kubernetes.io/", "node.kubernetes.io/", "beta.kubernetes.io/", "projectcalico.org/")
    return {key: value for key, value in node["metadata"]["labels"].items() if not key.startswith(own)}


def taints(node: Mapping[str, Any]) -> set[str]:
    listed = node["spec"].get("taints") or []
    return {f"{taint['key']}={taint.get('value', '')}:{taint['effect']}" for taint in listed}


def test_what_a_running_node_takes_is_patched(made: Made) -> None:
    project, a = made.project, made.a
    a.kubectl("label", "node", a.worker, "mine=1")
    a.kubectl("taint", "node", a.worker, "mine=1:PreferNoSchedule")
    before, folder = made.machines(), project.directory.parent
    other = folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)

    project.edit(sshPublicKeys=[f"{other}.pub"])
    made.edit(nodeLabels={TIER: "web"}, nodeTaints=["dedicated=web:PreferNoSchedule"], maxPods=120)
    preview = project.preview()
    assert {step["op"] for name in before for step in steps(preview, name)} == {"update"}
    output = " ".join(project.up().expect().output.split())
    assert (
        f"{a.worker} is patched as it runs: login keys, label {TIER} none → web, taint "
        "dedicated=web:PreferNoSchedule comes, maxPods 110 → 120"
    ) in output
    assert made.machines() == before
    node = made.node()
    assert labels(node) == {POOL: "pool1", TIER: "web", "mine": "1"}
    assert taints(node) == {"dedicated=web:PreferNoSchedule", "mine=1:PreferNoSchedule"}
    eventually(lambda: made.node()["status"]["capacity"]["pods"] == "120", "kubelet says its new number", 30)
    for machine in before:
        with pytest.raises(subprocess.CalledProcessError):  # the old key is refused
            on(project, machine, "true")
    use_key(folder, other)
    for machine in before:
        on(project, machine, "true")
    project.up("--expect-no-changes").expect()
    project.refresh("--expect-no-changes").expect()


def test_what_was_changed_by_hand_is_shown_and_put_back(made: Made) -> None:
    a, project = made.a, made.project
    a.kubectl("label", "node", a.worker, f"{TIER}=by-hand", f"{POOL}-", "mine=2", "--overwrite")
    a.kubectl("taint", "node", a.worker, "dedicated:PreferNoSchedule-")
    shown = project.refresh().expect().output
    assert "by-hand" in shown
    assert "dedicated=web:PreferNoSchedule" in shown
    project.up().expect()
    assert labels(made.node()) == {POOL: "pool1", TIER: "web", "mine": "2"}
    assert taints(made.node()) == {"dedicated=web:PreferNoSchedule", "mine=1:PreferNoSchedule"}
    project.refresh("--expect-no-changes").expect()


def test_what_is_taken_out_of_the_file_goes_and_what_is_others_stays(made: Made) -> None:
    made.edit(nodeLabels={"other": ""}, maxPods=120)
    made.project.up().expect()
    assert labels(made.node()) == {POOL: "pool1", "other": "", "mine": "2"}
    assert taints(made.node()) == {"mine=1:PreferNoSchedule"}


def test_fewer_pods_than_run_on_a_node_are_refused_in_preview(made: Made) -> None:
    a, project = made.a, made.project
    spec = pod_spec("", containers=[container("exec sleep 1d")], nodeName=a.worker, tolerations=EVERYWHERE)
    template = {"metadata": {"labels": {"app": "many"}}, "spec": spec}
    selector = {"matchLabels": {"app": "many"}}
    many = {"replicas": 8, "selector": selector, "template": template}
    a.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "many"}, "spec": many})
    a.wait("condition=Available", "deployment/many")
    made.edit(nodeLabels={"other": ""}, maxPods=10)
    refused = project.pulumi("preview")
    assert refused.code != 0
    assert "kubelet would end those beyond (max-pods-running)" in " ".join(refused.output.split())
    a.kubectl("delete", "deployment", "many", "--wait")
    eventually(lambda: not a.get("pods")["items"], "the pods have ended")
    made.edit(nodeLabels={"other": ""}, maxPods=60)
    project.up().expect()
    eventually(lambda: made.node()["status"]["capacity"]["pods"] == "60", "kubelet says its new number", 30)
    assert a.unfinished_pods() == []


def test_nodes_and_a_pool_come_beside_each_other_and_leave_drained(made: Made) -> None:
    a, project = made.a, made.project
    second = {"name": "pool2", "count": 1, "vmSize": "Node", "nodeLabels": {TIER: "db"}}
    second["nodeTaints"] = ["dedicated=db:NoSchedule"]
    made.edit(second, count=2, nodeLabels={"other": ""}, maxPods=60)
    output = project.up(timeout=900).expect().output
    added, of_pool2 = f"{INSTANCE}-a-pool1-1", f"{INSTANCE}-a-pool2-0"
    assert labels(made.node(added)) == {POOL: "pool1", "other": ""}
    assert labels(made.node(of_pool2)) == {POOL: "pool2", TIER: "db"}
    assert taints(made.node(of_pool2)) == {"dedicated=db:NoSchedule"}
    assert "labels and taints are as they are wanted" not in output, "they had them when they registered"
    started = [int(virsh_started(name)) for name in (added, of_pool2)]
    assert abs(started[0] - started[1]) < 20, "both are made at the same time"

    spec = pod_spec(
        "", containers=[container("exec sleep 1d")], nodeSelector={POOL: "pool2"}, tolerations=EVERYWHERE
    )
    a.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "there"}, "spec": spec})
    a.wait("condition=Ready", "pod/there")
    made.edit(nodeLabels={"other": ""}, maxPods=60)
    with ThreadPoolExecutor() as others:
        evicted = others.submit(a.wait, "condition=DisruptionTarget", "pod/there", seconds=300)
        project.up(timeout=900).expect()
        evicted.result()
    assert set(a.nodes()) == {a.control_plane, a.worker}
    assert a.get("pods")["items"] == []
    assert set(made.machines()) == {f"{INSTANCE}-rb-0", a.control_plane, a.worker}
    assert a.unfinished_pods() == []
    project.up("--expect-no-changes").expect()


def test_a_node_that_is_replaced_keeps_its_volumes_and_one_that_goes_is_refused_with_them(made: Made) -> None:
    a, project = made.a, made.project
    made.edit(count=2)
    project.up(timeout=900).expect()
    gone = f"{INSTANCE}-a-pool1-1"
    for node, name in ((a.worker, "stays"), (gone, "goes")):
        a.apply(
            claim(name, "default"), pod_with_claim(name, node, f"echo {name} >/data/file && sync && exec sleep 1d")
        )
    for name in ("stays", "goes"):
        a.wait("condition=Ready", f"pod/{name}")
    volumes = {name: a.get("pvc", name)["spec"]["volumeName"] for name in ("stays", "goes")}

    made.edit(count=1)
    for refused in (project.pulumi("preview"), project.up()):
        said = " ".join(refused.output.split())
        assert refused.code != 0
        assert f"{gone} would go, and volumes on its disk would be lost (local-volumes-lost)" in said
        assert f"{volumes['goes']} (claim default/goes, 64Mi, Delete)" in said
    assert a.said("goes", "cat /data/file") == "goes"
    a.kubectl("delete", "pod/goes", "pvc/goes")
    a.wait("delete", f"pv/{volumes['goes']}")
    project.up(timeout=900).expect()

    uid, machine = made.node()["metadata"]["uid"], virsh("domid", a.worker)
    file = project.directory / "netplans" / "here.yaml"
    netplan = yaml.safe_load(file.read_text())
    netplan["logicalNetworks"][0]["dnsServers"].append(address(1, 2))
    file.write_text(yaml.safe_dump(netplan))
    said = " ".join(project.pulumi("preview").expect().output.split())
    assert f"{a.worker} keeps its local volumes: {volumes['stays']}" in said
    project.up(timeout=900).expect()
    assert (made.node()["metadata"]["uid"], virsh("domid", a.worker)) != (uid, machine), "another machine"
    a.kubectl("delete", "pod/stays", "--ignore-not-found")
    a.apply(pod_with_claim("stays", a.worker))
    a.wait("condition=Ready", "pod/stays")
    assert a.said("stays", "cat /data/file") == "stays"
    assert a.get("pvc", "stays")["spec"]["volumeName"] == volumes["stays"]
    a.kubectl("delete", "pod/stays", "pvc/stays")
    a.wait("delete", f"pv/{volumes['stays']}")


def virsh_started(name: str) -> str:
    """Return when a container was started, in seconds since 1970."""
    done = subprocess.run(
        ["stat", "--format=%Y", f"/run/libvirt/lxc/{name}.pid"], check=True, capture_output=True, text=True
    )
    return done.stdout
