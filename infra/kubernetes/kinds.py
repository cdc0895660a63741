"""Kubernetes kinds and the places of their objects. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple


class KindId(NamedTuple):
    """An API object's apiVersion ("v1", "apps/v1") and kind."""

    api_version: str
    kind: str

    @property
    def group(self) -> str:
        """Return the API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}"


class Ref(NamedTuple):
    """One object of a cluster. `namespace` is None for a cluster-scoped one."""

    id: KindId
    namespace: str | None
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.id.kind} {where}"


# The groups every API server serves have a fixed scope, so that nothing has to be asked for them.
_BUILT_IN: Final = frozenset(
    {
        "", "apps", "autoscaling", "batch", "events.k8s.io", "policy", "networking.k8s.io", "discovery.k8s.io",
        "rbac.authorization.k8s.io", "storage.k8s.io", "scheduling.k8s.io", "admissionregistration.k8s.io",
        "apiextensions.k8s.io", "apiregistration.k8s.io", "certificates.k8s.io", "coordination.k8s.io",
        "node.k8s.io", "flowcontrol.apiserver.k8s.io",
    }
)  # fmt: skip
_CLUSTER_SCOPED: Final = frozenset(
    {
        ("", "Namespace"), ("", "Node"), ("", "PersistentVolume"), ("", "ComponentStatus"),
        ("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("storage.k8s.io", "StorageClass"), ("storage.k8s.io", "CSIDriver"), ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "VolumeAttachment"), ("storage.k8s.io", "VolumeAttributesClass"),
        ("scheduling.k8s.io", "PriorityClass"), ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "IPAddress"), ("networking.k8s.io", "ServiceCIDR"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"), ("apiregistration.k8s.io", "APIService"),
        ("certificates.k8s.io", "CertificateSigningRequest"), ("certificates.k8s.io", "ClusterTrustBundle"),
        ("node.k8s.io", "RuntimeClass"), ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    }
)  # fmt: skip


def known_scope(id: KindId) -> bool | None:
    """Return whether the kind is namespaced; None where only the API server knows (custom resources)."""
    if id.group not in _BUILT_IN:
        return None
    return (id.group, id.kind) not in _CLUSTER_SCOPED
