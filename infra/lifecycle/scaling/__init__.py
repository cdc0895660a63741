"""How many nodes an agent pool is to have, from pods that find no node and nodes that hardly any pod needs. Pure.

What counts is taken from the upstream cluster-autoscaler (kubernetes/autoscaler, cluster-autoscaler/FAQ.md: what
blocks a node's removal, utilisation, expanders), and whether a pod fits from kube-scheduler's filters.
"""
