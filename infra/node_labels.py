"""Labels of nodes that azlocal itself writes."""

POOL_LABEL = "kubernetes.azure.com/agentpool"
"""AKS's own label of a node's pool."""
