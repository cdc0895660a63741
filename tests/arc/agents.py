"""What runs in a connected cluster."""

DOCUMENTED_AGENTS = {
    "clusteridentityoperator",
    "config-agent",
    "controller-manager",
    "metrics-agent",
    "cluster-metadata-operator",
    "resource-sync-agent",
    "flux-logs-agent",
    "extension-manager",
    "kube-aad-proxy",
    "clusterconnect-agent",
    "extension-events-collector",
    "logcollector",
}
"""The deployments of the namespace azure-arc that Azure documents."""
