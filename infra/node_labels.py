"""Labels of nodes that azlocal itself writes, and those that kubelet writes."""

from typing import Final

POOL_LABEL: Final = "kubernetes.azure.com/agentpool"
"""AKS's own label of a node's pool."""

SET_BY_KUBELET: Final = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    }
)
"""What a kubelet says of its node by itself, when it starts (kubelet, initialNode)."""
