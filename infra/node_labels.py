"""Labels of nodes that azlocal itself writes."""

POOL_LABEL = "kubernetes.azure.com/agentpool"
"""AKS's own label of a node's pool."""

NO_SERVICES = "node.kubernetes.io/exclude-from-external-load-balancers"
"""The label by which nodes hold no addresses of services (k8s.io/api/core/v1, LabelNodeExcludeBalancers).

MetalLB's speakers on others announce them at once, where a speaker that is gone would first have to be missed.
"""

JOINING = "joining"
"""The value of `NO_SERVICES` on a worker from its registration until packets to services find their way there.

MetalLB's speaker is there before kube-proxy and the network plugin have done their work, and would win addresses.
"""
