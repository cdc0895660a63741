"""What turns a machine into a Kubernetes node at its first boot: kubeadm's and keepalived's files, and keys.

All of it is one archive in the seed, unpacked under `/etc/azlocal/node` (image/files: take-seed, bootstrap-node).
cloud-init never holds it, so no copy of a key stays in cloud-init's own files.
"""

import io
import tarfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.go_yaml import go_yaml
from infra.guest import encryption
from infra.guest.api_server import api_server_files, api_server_settings, component_arguments
from infra.guest.keepalived import ApiServerAddress, keepalived_files
from infra.model.machine_traits import MachineTraits
from infra.model.node import NodeInputs, NodeSecrets, NodeSettings, taint_object
from infra.node_labels import JOINING, JOINING_TAINT, NO_SERVICES

FOLDER = "etc/azlocal/node"
API_PORT = 6443
_KUBEADM = "kubeadm.k8s.io/v1beta4"
_CONTAINERD = "unix:///run/containerd/containerd.sock"
_JOIN_PERIOD = "2h0m0s"
# As long as the cluster's authorities (infra.kubernetes.pki): what nothing renews doesn't end before them.
# Kubelets renew their own, but only valid ones: those of a lab that was off for a year would have ended.
_LIFETIME = "87600h0m0s"
_ALGORITHM = "ECDSA-P256"
# Some forty controllers list what they watch when the manager starts, three requests each: with upstream's 20 a
# second the first node waits five seconds for its certificate and its pods.
_REQUESTS_OF_CONTROLLERS = {"kube-api-qps": "100", "kube-api-burst": "150"}
# A component that asked for its lease before the API server had its roles asks again after one to two periods
# (client-go's leaderelection.JitterFactor); upstream's is two seconds.
_ELECTION = {"leader-elect-retry-period": "1s"}
_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"


@dataclass(frozen=True, slots=True)
class KubernetesNode:
    """A node on its machine, without secrets.

    Attributes:
        inputs: What the node is to be.
        hostname: Its name, in Kubernetes too.
        address: Its address, without the subnet's length.
        traits: How its machine runs.
        settings: What it is told besides.
    """

    inputs: NodeInputs
    hostname: str
    address: str
    traits: MachineTraits
    settings: NodeSettings


NO_SECRETS = NodeSecrets.model_construct(token="")  # a validator would be built at import
"""Stands in where only what isn't secret counts, as in a seed's digest."""


def node_archive(node: KubernetesNode, secrets: NodeSecrets) -> bytes:
    """Return the tar archive that a seed carries; every file in it is root's alone.

    Args:
        node: The node.
        secrets: Its token, and a control plane's keys.
    """
    files = {
        "endpoint": f"{node.inputs.endpoint}:{API_PORT}\n",
        "ca.crt": node.inputs.ca_certificate,
        "join.yaml": go_yaml(_join(node, secrets.token)),
        # With these a node asks whether the cluster takes it, and kubeadm knows the cluster without searching.
        "authorization": f"Authorization: Bearer {secrets.token}\n",
        "cluster.conf": go_yaml(_known_cluster(node)),
    }
    if node.inputs.role == "controlPlane" and node.inputs.number == 0:
        files["init.yaml"] = go_yaml(
            _init(node, secrets.token), _cluster(node, secrets), _kubelet(), _kube_proxy(node)
        )
    if node.inputs.role == "controlPlane":
        files |= keepalived_files(
            ApiServerAddress(
                address=node.inputs.endpoint,
                vrrp_id=node.inputs.vrrp_id,
                interface="eth0" if node.traits.shares_kernel else "enp1s0",
                own_address=node.address,
                number=node.inputs.number,
                is_slow=node.traits.is_slow,
            )
        )
        # The first one founds the cluster only where none of them is a node of it already.
        files["peers"] = "".join(f"{peer}\n" for peer in node.settings.peers)
        policies = api_server_files(node.inputs.version, node.settings.pod_security or "privileged")
        if secrets.encryption_keys:
            policies[encryption.FILE] = encryption.encryption_file(secrets.encryption_keys)
        files |= {f"api-server/{name}": content for name, content in policies.items()}
        files |= {f"pki/{path}": content for path, content in secrets.keys.items()}
    return _tar({f"{FOLDER}/{name}": content for name, content in files.items()})


def _init(node: KubernetesNode, token: str) -> dict[str, Any]:
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
        "localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": API_PORT},
        "nodeRegistration": _registration(node),
        "timeouts": _timeouts(node),
    }


def _join(node: KubernetesNode, token: str) -> dict[str, Any]:
    join = {
        "apiVersion": _KUBEADM,
        "kind": "JoinConfiguration",
        # By token, kubeadm would look every five seconds whether the cluster has signed what says who it is.
        "discovery": {"file": {"kubeConfigPath": f"/{FOLDER}/cluster.conf"}, "tlsBootstrapToken": token},
        "nodeRegistration": _registration(node),
        "timeouts": _timeouts(node),
    }
    if node.inputs.role == "controlPlane":
        join["controlPlane"] = {"localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": API_PORT}}
    return join


def _known_cluster(node: KubernetesNode) -> dict[str, Any]:
    """Return what kubeadm itself publishes as cluster-info: a cluster without a name, and nobody who may enter."""
    server = {
        "server": f"https://{node.inputs.endpoint}:{API_PORT}",
        "certificate-authority-data": b64encode(node.inputs.ca_certificate.encode()).decode("ascii"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": server}],
    }


def _cluster(node: KubernetesNode, secrets: NodeSecrets) -> dict[str, Any]:
    cluster: dict[str, Any] = {
        "apiVersion": _KUBEADM,
        "kind": "ClusterConfiguration",
        "clusterName": node.inputs.cluster,
        "kubernetesVersion": f"v{node.inputs.version}",
        "controlPlaneEndpoint": f"{node.inputs.endpoint}:{API_PORT}",
        "encryptionAlgorithm": _ALGORITHM,
        "certificateValidityPeriod": _LIFETIME,
        "networking": {"podSubnet": node.inputs.pod_cidr, "serviceSubnet": node.inputs.service_cidr},
        "apiServer": {"certSANs": [node.inputs.endpoint]}
        | api_server_settings(encrypts=bool(secrets.encryption_keys)),
        "controllerManager": {
            "extraArgs": component_arguments(
                {"cluster-signing-duration": _LIFETIME, **_REQUESTS_OF_CONTROLLERS, **_ELECTION}
            )
        },
        "scheduler": {"extraArgs": component_arguments(_ELECTION)},
    }
    if "etcd" in node.inputs.image_tags:
        cluster["etcd"] = {"local": {"imageTag": node.inputs.image_tags["etcd"]}}
    if "coredns" in node.inputs.image_tags:
        cluster["dns"] = {"imageTag": node.inputs.image_tags["coredns"]}
    return cluster


def renewal_configuration(version: str, lifetime: str = _LIFETIME) -> str:
    """Return the configuration by which kubeadm renews a control plane's certificates, under their old names.

    Args:
        version: What `kubeadm version --output short` says there.
        lifetime: How long they live from five minutes ago on, as Go writes a duration.
    """
    return go_yaml(
        {
            "apiVersion": _KUBEADM,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": version,
            "encryptionAlgorithm": _ALGORITHM,
            "certificateValidityPeriod": lifetime,
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
    if node.traits.shares_kernel:
        # The size of the connection table is the host's to set: 0 leaves it as it is.
        proxy["conntrack"] = {"maxPerCore": 0, "min": 0}
    return proxy


def _registration(node: KubernetesNode) -> dict[str, Any]:
    labelled = dict(node.inputs.labels)
    if node.inputs.role == "worker":
        labelled.setdefault(NO_SERVICES, JOINING)
    labels = ",".join(f"{key}={value}" for key, value in sorted(labelled.items()))
    arguments = {
        "node-ip": node.address,
        **({"node-labels": labels} if labels else {}),
        **({"max-pods": str(node.inputs.max_pods)} if node.inputs.max_pods else {}),
        **(_CONTAINER_ARGUMENTS if node.traits.shares_kernel else {}),
    }
    registration: dict[str, Any] = {
        "name": node.hostname,
        "criSocket": _CONTAINERD,
        # What a node needs is in its image's store. kubeadm would look for its own version's pause image, too,
        # which containerd, whose sandboxes it is for, has in the bundle's.
        "imagePullPolicy": "Never",
        "kubeletExtraArgs": [{"name": name, "value": value} for name, value in sorted(arguments.items())],
    }
    taints = [*node.inputs.taints, *((JOINING_TAINT,) if node.settings.joins_workers else ())]
    if taints:
        registration["taints"] = [taint_object(text) for text in taints]
    registration["ignorePreflightErrors"] = [*_PASSED_OVER, *(_OF_THE_HOST if node.traits.shares_kernel else ())]
    return registration


# Before 1.33.6 and 1.32.10, kubeadm looks for a proxy of https://[10.96.0.1]: Go refuses that since 1.25.2.
# That the cluster's own networks need no proxy is for the plan to see (no-proxy-incomplete).
_PASSED_OVER = ("HTTPProxyCIDR",)
# It looks for the host kernel's configuration, which a container has no sight of, and for the host's swap.
_OF_THE_HOST = ("SystemVerification", "Swap")
# A container sees its host's swap, which is not the node's to turn off.
_CONTAINER_ARGUMENTS = {"fail-swap-on": "false"}


def _timeouts(node: KubernetesNode) -> dict[str, str]:
    """A worker waits for its control plane as long as the whole `up` does; kubeadm's own five minutes are less."""
    factor = 5 if node.traits.is_slow else 1
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
