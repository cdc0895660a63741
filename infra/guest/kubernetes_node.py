"""What turns a machine into a Kubernetes node at its first boot: kubeadm's and keepalived's files, and keys.

All of it is one archive in the seed, unpacked under `/etc/azlocal/node` (image/files: take-seed, bootstrap-node).
cloud-init never holds it, so no copy of a key stays in cloud-init's own files.
"""

import io
import tarfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.go_yaml import go_yaml
from infra.guest.api_server import PodSecurity, api_server_files, api_server_settings
from infra.guest.keepalived import ApiServerAddress, keepalived_conf

FOLDER = "etc/azlocal/node"
API_PORT = 6443
_KUBEADM = "kubeadm.k8s.io/v1beta4"
_CONTAINERD = "unix:///run/containerd/containerd.sock"
_JOIN_PERIOD = "2h0m0s"
# As long as the cluster's authorities (infra.kubernetes.pki): what nothing renews doesn't end before them.
# Kubelets renew their own, but only valid ones: those of a lab that was off for a year would have ended.
_LIFETIME = "87600h0m0s"
_ALGORITHM = "ECDSA-P256"
_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"

Role = Literal["controlPlane", "worker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesNode:
    """A node of a cluster, without secrets.

    Attributes:
        cluster: The cluster's name in kubeconfigs.
        role: Control plane or worker.
        version: Kubernetes version, without the `v`.
        endpoint: The cluster's address (the VIP).
        ca_certificate: The cluster CA's certificate, PEM.
        ca_hash: kubeadm's pin of the CA's key, `sha256:…`.
        number: Of a control plane, from 0; number 0 starts the cluster where nobody answers for it yet.
        vrrp_id: The VRRP id that holds the endpoint, unique on the network.
        pod_cidr: The pods' network.
        service_cidr: The services' network.
        image_tags: Tags of the images that kubeadm places by itself: `etcd`, `coredns`.
        max_pods: Most pods on the node; kubelet's default when None.
        labels: Labels of the node.
        taints: Taints, `key=value:Effect`.
        in_container: The machine shares its host's kernel.
        is_slow: The machine is emulated: everything takes ten times as long.
        pod_security: The level that pods are held to where their namespace says nothing.
        peers: Of a control plane: the addresses of the cluster's others.
        unicast_vrrp: Control planes hold the address by VRRP with their peers alone, and not by multicast.
    """

    cluster: str
    role: Role
    version: str
    endpoint: str
    ca_certificate: str
    ca_hash: str
    number: int = 0
    vrrp_id: int = 1
    pod_cidr: str = ""
    service_cidr: str = ""
    image_tags: Mapping[str, str] = field(default_factory=dict)
    max_pods: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    in_container: bool = False
    is_slow: bool = False
    pod_security: PodSecurity = "privileged"
    peers: tuple[str, ...] = ()
    unicast_vrrp: bool = False


@dataclass(frozen=True, slots=True)
class NodeSecrets:
    """The secrets of a node's first boot.

    Attributes:
        token: The bootstrap token, `abcdef.0123456789abcdef`.
        keys: Of a control plane: certificates and keys by their path under `/etc/kubernetes/pki`.
    """

    token: str = field(repr=False)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


NO_SECRETS = NodeSecrets("")
"""Stands in where only what isn't secret counts, as in a seed's digest."""


def node_archive(node: KubernetesNode, hostname: str, address: str, secrets: NodeSecrets) -> bytes:
    """Return the tar archive that a seed carries; every file in it is root's alone.

    Args:
        node: What the node is to be.
        hostname: Its name, in Kubernetes too.
        address: Its address, without the subnet's length.
        secrets: Its token, and a control plane's keys.
    """
    files = {
        "endpoint": f"{node.endpoint}:{API_PORT}\n",
        "ca.crt": node.ca_certificate,
        "join.yaml": go_yaml(_join(node, hostname, address, secrets.token)),
        # With these a node asks whether the cluster takes it, and kubeadm knows the cluster without searching.
        "authorization": f"Authorization: Bearer {secrets.token}\n",
        "cluster.conf": go_yaml(_known_cluster(node)),
    }
    if node.role == "controlPlane" and node.number == 0:
        files["init.yaml"] = go_yaml(
            _init(node, hostname, address, secrets.token), _cluster(node), _kubelet(), _kube_proxy(node)
        )
    if node.role == "controlPlane":
        files["keepalived.conf"] = keepalived_conf(
            ApiServerAddress(
                address=node.endpoint,
                vrrp_id=node.vrrp_id,
                interface="eth0" if node.in_container else "enp1s0",
                own_address=address,
                number=node.number,
                by_multicast=not node.unicast_vrrp,
            )
        )
        # The first one founds the cluster only where none of them is a node of it already.
        files["peers"] = "".join(f"{peer}\n" for peer in node.peers)
        policies = api_server_files(node.version, node.pod_security)
        files |= {f"api-server/{name}": content for name, content in policies.items()}
        files |= {f"pki/{path}": content for path, content in secrets.keys.items()}
    return _tar({f"{FOLDER}/{name}": content for name, content in files.items()})


def _init(node: KubernetesNode, hostname: str, address: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": _KUBEADM,
        "kind": "InitConfiguration",
        "bootstrapTokens": [
            {
                "token": token,
                "ttl": _JOIN_PERIOD,
                "description": "azlocal: first boot of nodes",
                "usages": ["signing", "authentication"],
                "groups": ["system:bootstrappers:kubeadm:default-node-token"],
            }
        ],
        "localAPIEndpoint": {"advertiseAddress": address, "bindPort": API_PORT},
        "nodeRegistration": _registration(node, hostname, address),
        "timeouts": _timeouts(node),
    }


def _join(node: KubernetesNode, hostname: str, address: str, token: str) -> dict[str, Any]:
    join = {
        "apiVersion": _KUBEADM,
        "kind": "JoinConfiguration",
        # By token, kubeadm would look every five seconds whether the cluster has signed what says who it is.
        "discovery": {"file": {"kubeConfigPath": f"/{FOLDER}/cluster.conf"}, "tlsBootstrapToken": token},
        "nodeRegistration": _registration(node, hostname, address),
        "timeouts": _timeouts(node),
    }
    if node.role == "controlPlane":
        join["controlPlane"] = {"localAPIEndpoint": {"advertiseAddress": address, "bindPort": API_PORT}}
    return join


def _known_cluster(node: KubernetesNode) -> dict[str, Any]:
    """Return what kubeadm itself publishes as cluster-info: a cluster without a name, and nobody who may enter."""
    server = {
        "server": f"https://{node.endpoint}:{API_PORT}",
        "certificate-authority-data": b64encode(node.ca_certificate.encode()).decode("ascii"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": server}],
    }


def _cluster(node: KubernetesNode) -> dict[str, Any]:
    cluster: dict[str, Any] = {
        "apiVersion": _KUBEADM,
        "kind": "ClusterConfiguration",
        "clusterName": node.cluster,
        "kubernetesVersion": f"v{node.version}",
        "controlPlaneEndpoint": f"{node.endpoint}:{API_PORT}",
        "encryptionAlgorithm": _ALGORITHM,
        "certificateValidityPeriod": _LIFETIME,
        "networking": {"podSubnet": node.pod_cidr, "serviceSubnet": node.service_cidr},
        "apiServer": {"certSANs": [node.endpoint]} | api_server_settings(),
        "controllerManager": {
            "extraArgs": [
                {"name": "profiling", "value": "false"},
                {"name": "cluster-signing-duration", "value": _LIFETIME},
            ]
        },
        "scheduler": {"extraArgs": [{"name": "profiling", "value": "false"}]},
    }
    if "etcd" in node.image_tags:
        cluster["etcd"] = {"local": {"imageTag": node.image_tags["etcd"]}}
    if "coredns" in node.image_tags:
        cluster["dns"] = {"imageTag": node.image_tags["coredns"]}
    return cluster


def renewal_configuration(version: str) -> str:
    """Return the configuration by which kubeadm renews a control plane's certificates, under their old names.

    Args:
        version: What `kubeadm version --output short` says there.
    """
    return go_yaml(
        {
            "apiVersion": _KUBEADM,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": version,
            "encryptionAlgorithm": _ALGORITHM,
            "certificateValidityPeriod": _LIFETIME,
        }
    )


def _kubelet() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # containerd's must be the same, or kubelet kills its own static pods every few seconds.
        "cgroupDriver": "cgroupfs",
        # 127.0.0.53, which /etc/resolv.conf names, is another machine's loopback to a pod.
        "resolvConf": _RESOLV_CONF,
        # The kernel's settings are the image's (90-azlocal.conf; in a container: container-setup). Where they
        # differ, kubelet doesn't start, rather than change them.
        "protectKernelDefaults": True,
        # What is in the image's store can't be pulled again where there is no registry. The threshold keeps the
        # collector away; only the age keeps kubelet from emptying the store when the disk is full (100 years).
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "876000h0m0s",
    }


def _kube_proxy(node: KubernetesNode) -> dict[str, Any]:
    proxy: dict[str, Any] = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}
    if node.in_container:
        # The size of the connection table is the host's to set: 0 leaves it as it is.
        proxy["conntrack"] = {"maxPerCore": 0, "min": 0}
    return proxy


def _registration(node: KubernetesNode, hostname: str, address: str) -> dict[str, Any]:
    labels = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
    arguments = {
        "node-ip": address,
        **({"node-labels": labels} if labels else {}),
        **({"max-pods": str(node.max_pods)} if node.max_pods else {}),
        **(_CONTAINER_ARGUMENTS if node.in_container else {}),
    }
    registration: dict[str, Any] = {
        "name": hostname,
        "criSocket": _CONTAINERD,
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": [{"name": name, "value": value} for name, value in sorted(arguments.items())],
    }
    if node.taints:
        registration["taints"] = [_taint(text) for text in node.taints]
    if node.in_container:
        # It looks for the host kernel's configuration, which a container has no sight of.
        registration["ignorePreflightErrors"] = ["SystemVerification", "Swap"]
    return registration


# A container sees its host's swap, which is not the node's to turn off.
_CONTAINER_ARGUMENTS = {"fail-swap-on": "false"}


def _taint(text: str) -> dict[str, str]:
    """Read `key=value:Effect` or `key:Effect`."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect} if value else {"key": key, "effect": effect}


def _timeouts(node: KubernetesNode) -> dict[str, str]:
    """A worker waits for its control plane as long as the whole `up` does; kubeadm's own five minutes are less."""
    factor = 5 if node.is_slow else 1
    return {
        "controlPlaneComponentHealthCheck": f"{4 * factor}m0s",
        "kubeletHealthCheck": f"{4 * factor}m0s",
        "kubernetesAPICall": f"{factor}m0s",
        "etcdAPICall": f"{2 * factor}m0s",
        "tlsBootstrap": f"{5 * factor}m0s",
        "discovery": "10m0s",
    }


def _tar(files: Mapping[str, str]) -> bytes:
    """Pack files the same way each time, so that a digest of the archive is one of its content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.mode = 0o600
            data = content.encode()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
