"""Type tokens and Kubernetes kinds. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from infra.errors import UserError

RELEASE: Final = "kubernetes:helm.sh/v3:Release"
# Tokens that the SDK offers and that are no API objects.
OVERLAYS: Final = ("kubernetes:helm.sh/", "kubernetes:yaml", "kubernetes:kustomize")


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


def token_of(urn: str) -> str:
    """Return the type token of `urn:pulumi:<stack>::<project>::<parents>$<token>::<name>`."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """Return the resource's name, the last part of its URN, which may contain `::` itself."""
    return urn.split("::", 3)[3]


def kind_of(token: str) -> KindId:
    """Return the kind that a token such as `kubernetes:apps/v1:Deployment` names."""
    _, module, kind = token.split(":")
    group, slash, version = module.partition("/")
    if not slash:
        raise UserError(f"{token} names no API version; expected kubernetes:<group>/<version>:<Kind>")
    return KindId(version if group == "core" else module, kind)


def kind_in(inputs: dict[str, Any], token: str) -> KindId:
    """Return the kind of an object: what it says itself, else what its token says."""
    said = kind_of(token)
    return KindId(inputs.get("apiVersion") or said.api_version, inputs.get("kind") or said.kind)


def is_patch(token: str, kind: str) -> bool:
    """Return whether the token is of a resource that patches an object it doesn't own (`ConfigMapPatch`)."""
    return token.rpartition(":")[2] == f"{kind}Patch"


def object_id(namespace: str | None, name: str) -> str:
    """Return a resource's id in the engine: `namespace/name`, or `name`."""
    return f"{namespace}/{name}" if namespace else name


def parse_object_id(id: str) -> tuple[str | None, str]:
    """Return the namespace and the name in an id."""
    namespace, slash, name = id.rpartition("/")
    return (namespace if slash else None), name


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
