"""What a machine finds at its first boot, as pure text: cloud-init, netplan, kubeadm, its SSH host key."""

from infra.guest.first_boot import LOGIN_USER, Seed
from infra.guest.host_key import SshHostKey, generate_host_key
from infra.guest.kubernetes_node import (
    API_PORT,
    NO_SECRETS,
    KubernetesNode,
    renewal_configuration,
)
from infra.node_labels import POOL_LABEL

__all__ = [
    "API_PORT",
    "LOGIN_USER",
    "NO_SECRETS",
    "POOL_LABEL",
    "KubernetesNode",
    "Seed",
    "SshHostKey",
    "generate_host_key",
    "renewal_configuration",
]
