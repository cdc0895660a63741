"""Labels and taints of nodes that azlocal itself writes, and labels that kubelet writes."""

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

NO_SERVICES: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
"""The label by which nodes hold no addresses of services (k8s.io/api/core/v1, LabelNodeExcludeBalancers).

MetalLB's speakers on others announce them at once, where a speaker that is gone would first have to be missed.
"""

JOINING: Final = "joining"
"""The value of `NO_SERVICES` on a worker from its registration until packets to services find their way there.

MetalLB's speaker is there before kube-proxy and the network plugin have done their work, and would win addresses.
"""

JOINING_TAINT: Final = "azlocal.io/joining:NoSchedule"
"""The taint of a worker that joins others, from its registration until it forwards packets.

A speaker that starts looks at services before it has seen any node's label, and answers for some of them for a
moment (metallb: `speaker/layer2_controller.go`): their packets would come to where nobody forwards them. It
has no toleration for this.
"""
