"""What changes inside a cluster that goes to another version, against objects as kubeadm makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from infra.kubernetes.api import ClusterApi, Conflict, NotFound
from infra.kubernetes.upgrade import (
    add_on_images,
    add_on_version,
    configured_version,
    etcd_objections,
    finish_upgrade,
    objections,
    prepare_upgrade,
)
from infra.kubernetes.waiting import NotReady
from infra.model.work import Work

CONFIG = {
    "kubernetesVersion": "v1.33.5",
    "controlPlaneEndpoint": "10.0.0.9:6443",
    "etcd": {"local": {"imageTag": "3.5.21-0", "dataDir": "/var/lib/etcd"}},
    "dns": {"imageTag": "v1.12.0"},
}
IMAGES = [
    "registry.k8s.io/kube-apiserver:v1.34.4",
    "registry.k8s.io/kube-proxy:v1.34.4",
    "registry.k8s.io/etcd:3.6.5-0",
    "registry.k8s.io/coredns/coredns:v1.12.1",
    "docker.io/calico/node:v3.28.5",
]
PROXY, DNS = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy", "/deployments/coredns"


def workload(kind: str, name: str, image: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": name, "generation": 1},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": name, "image": image}]}}},
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "availableReplicas": 1,
            "desiredNumberScheduled": 1,
            "updatedNumberScheduled": 1,
            "numberAvailable": 1,
            "conditions": [{"type": "Available", "status": "True"}],
        },
    }


class Cluster(ClusterApi):
    """What kubeadm left in kube-system, and the API server's metrics."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {
            "metadata": {"resourceVersion": "7"},
            "data": {"ClusterConfiguration": yaml.safe_dump(CONFIG)},
        }
        self.workloads = {
            "kube-proxy": workload("DaemonSet", "kube-proxy", "registry.k8s.io/kube-proxy:v1.33.5"),
            "coredns": workload("Deployment", "coredns", "registry.k8s.io/coredns/coredns:v1.12.0"),
        }
        self.metrics = ""
        self.others_change = 0
        self.changed: list[str] = []

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: Any) -> str:
        name = path.rpartition("/")[2]
        if name == "metrics":
            return self.metrics
        if name == "kubeadm-config":
            return self.configure(body) if body else json.dumps(self.config)
        if name not in self.workloads:
            raise NotFound("there is none", 404)
        if body:
            self.changed.append(name)
            (container,) = body["spec"]["template"]["spec"]["containers"]
            self.workloads[name]["spec"]["template"]["spec"]["containers"][0] |= container
        return json.dumps(self.workloads[name])

    def configure(self, body: Mapping[str, Any]) -> str:
        if self.others_change:
            self.others_change -= 1
            self.config["metadata"]["resourceVersion"] += "1"
        if body["metadata"]["resourceVersion"] != self.config["metadata"]["resourceVersion"]:
            raise Conflict("it was changed", 409)
        self.changed.append("kubeadm-config")
        self.config["data"] |= body["data"]
        return "{}"


def work(seconds: float = 5) -> Work:
    return Work().within(seconds)


def test_kubeadm_is_told_the_version_and_the_tags_that_its_configuration_names() -> None:
    cluster = Cluster()
    cluster.others_change = 2
    assert configured_version(cluster) == "1.33.5"
    prepare_upgrade(cluster, "1.34.4", IMAGES)
    prepare_upgrade(cluster, "1.34.4", IMAGES)
    assert cluster.changed == ["kubeadm-config"], "once it says so, nothing is written"
    assert yaml.safe_load(cluster.config["data"]["ClusterConfiguration"]) == {
        **CONFIG,
        "kubernetesVersion": "v1.34.4",
        "etcd": {"local": {"imageTag": "3.6.5-0", "dataDir": "/var/lib/etcd"}},
        "dns": {"imageTag": "v1.12.1"},
    }
    assert configured_version(cluster) == "1.34.4"


def test_kube_proxy_comes_last_for_its_version_says_that_all_is_done() -> None:
    cluster = Cluster()
    assert add_on_version(cluster) == "1.33.5"
    finish_upgrade(cluster, IMAGES, work())
    assert cluster.changed == ["coredns", "kube-proxy"]
    assert add_on_version(cluster) == "1.34.4"
    finish_upgrade(cluster, IMAGES, work())
    assert cluster.changed == ["coredns", "kube-proxy"]


def test_kube_proxy_is_not_touched_before_the_new_core_dns_runs() -> None:
    cluster = Cluster()
    cluster.workloads["coredns"]["status"]["availableReplicas"] = 0
    with pytest.raises(NotReady, match="coredns: its replicas: 0 of 1"):
        finish_upgrade(cluster, IMAGES, work(0.01))
    assert cluster.changed == ["coredns"]


def test_what_somebody_took_away_is_not_missed() -> None:
    cluster = Cluster()
    del cluster.workloads["coredns"]
    finish_upgrade(cluster, IMAGES, work())
    assert cluster.changed == ["kube-proxy"]


def test_an_api_that_is_in_use_and_goes_is_named() -> None:
    cluster = Cluster()
    line = "apiserver_requested_deprecated_apis{{{}}} {}\n"
    labels = 'group="flowcontrol.apiserver.k8s.io",removed_release="{}",resource="flowschemas",version="v1beta3"'
    cluster.metrics = line.format(labels.format("1.34"), 1) + line.format(labels.format("1.37"), 1)
    (objection,) = objections([Cluster(), cluster, cluster], "1.34.4", [])
    assert objection.startswith("flowcontrol.apiserver.k8s.io/v1beta3/flowschemas was asked for")
    assert objections([cluster], "1.33.5", []) == []
    cluster.metrics = line.format('group="",removed_release="",resource="endpoints",version="v1"', 1)
    assert objections([cluster], "1.34.4", []) == []


def test_etcd_goes_to_3_6_only_from_where_what_was_removed_stays_so() -> None:
    (objection,) = objections([Cluster()], "1.34.4", IMAGES)
    assert objection.startswith("etcd would go from 3.5.21-0 to 3.6.5-0")
    for old, new in (("3.5.26-0", "3.6.5-0"), ("3.6.16-0", "3.6.16-0"), ("3.5.16-0", "3.5.21-0")):
        assert etcd_objections({"etcd": {"local": {"imageTag": old}}}, new) == []


def test_what_nodes_of_both_versions_need() -> None:
    assert add_on_images(IMAGES) == [IMAGES[1], IMAGES[3]]
