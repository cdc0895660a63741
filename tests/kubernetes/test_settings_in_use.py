"""What a cluster tells its components, and where that stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from infra.kubernetes.api import ClusterApi, NotFound
from infra.kubernetes.settings_in_use import Setting, look_at_corefile, look_at_settings, plugins_of, settings_of

KUBEADM = {
    "apiServer": {
        "extraArgs": [{"name": "v", "value": "4"}, {"name": "feature-gates", "value": "A=true,B=false"}],
    },
    "scheduler": {"extraArgs": {"v": "2"}},  # v1beta3
    "etcd": {"local": {"extraArgs": [{"name": "snapshot-count", "value": "100"}]}},
    "controllerManager": {},
}
IN_KUBEADM = "ConfigMap kube-system/kubeadm-config, {}.extraArgs"


def pod(component: str, *arguments: str) -> dict[str, Any]:
    containers = [{"name": component, "command": [component, *arguments]}]
    return {"metadata": {"name": f"{component}-cp-0"}, "spec": {"containers": containers}}


class Cluster(ClusterApi):
    """Configurations as kubeadm keeps them."""

    def __init__(self, **documents: dict[str, str]) -> None:
        self.documents = {name.replace("_", "-"): data for name, data in documents.items()}

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: Any) -> str:
        name = path.partition("?")[0].rpartition("/")[2]
        if name == "pods":
            return json.dumps({"items": [pod("kube-apiserver", "--v=4", "--feature-gates=C=true")]})
        if name not in self.documents:
            raise NotFound("there is none", 404)
        return json.dumps({"data": self.documents[name]})


def test_every_argument_is_listed_once_with_all_places_and_each_gate_by_itself() -> None:
    by_hand = pod("kube-apiserver", "--feature-gates=A=true,C=true", "--v=4")
    settings = settings_of(KUBEADM, {"kubelet": {"featureGates": {"D": True}}}, [by_hand, pod("other", "--x=1")])
    of_api, static = IN_KUBEADM.format("apiServer"), "static pod kube-apiserver-cp-0"
    assert settings == [
        Setting("kube-apiserver", "--v=4", (of_api, static)),
        Setting("kube-apiserver", "--feature-gates=A=true", (of_api, static)),
        Setting("kube-apiserver", "--feature-gates=B=false", (of_api,)),
        Setting("kube-scheduler", "--v=2", (IN_KUBEADM.format("scheduler"),)),
        Setting("etcd", "--snapshot-count=100", (IN_KUBEADM.format("etcd.local"),)),
        Setting("kubelet", "--feature-gates=D=true", ("ConfigMap kube-system/kubelet-config, featureGates",)),
        Setting("kube-apiserver", "--feature-gates=C=true", (static,)),
    ]


def test_they_are_read_from_the_cluster_and_what_is_not_there_says_nothing() -> None:
    cluster = Cluster(
        kubeadm_config={"ClusterConfiguration": yaml.safe_dump(KUBEADM)},
        kubelet_config={"kubelet": "featureGates: {D: false}"},
        kube_proxy={"config.conf": "featureGates: {E: true}"},
        coredns={"Corefile": ".:53 {\n}\n"},
    )
    arguments = {(each.component, each.argument) for each in look_at_settings(cluster)}
    assert {("kubelet", "--feature-gates=D=false"), ("kube-proxy", "--feature-gates=E=true")} < arguments
    assert look_at_corefile(cluster) == ".:53 {\n}\n"
    assert [each.component for each in look_at_settings(Cluster())] == ["kube-apiserver"] * 2
    assert look_at_corefile(Cluster()) == ""


def test_plugins_are_what_lines_begin_with_in_the_braces_of_a_server() -> None:
    corefile = """
    (shared) {
        errors  # comments { and braces
    }
    .:53 example.org:53 {
        import shared
        health {
           lameduck 5s
        }
        kubernetes cluster.local in-addr.arpa {
           pods insecure
        }
        template ANY ANY "{ not a brace }" {
            answer "x {"
        }
        # rewrite
        hosts /etc/hosts {$ZONE}
    }
    """
    assert plugins_of(corefile) == {"errors", "health", "kubernetes", "template", "hosts"}
    assert plugins_of("") == set()
