"""Type tokens, and the ids of resources. Pure."""

from __future__ import annotations

from typing import Any, Final

from infra.errors import UserError
from infra.kubernetes.kinds import KindId

RELEASE: Final = "kubernetes:helm.sh/v3:Release"
# Tokens that the SDK offers and that are no API objects.
OVERLAYS: Final = ("kubernetes:helm.sh/", "kubernetes:yaml", "kubernetes:kustomize")


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
    default = kind_of(token)
    return KindId(inputs.get("apiVersion") or default.api_version, inputs.get("kind") or default.kind)


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
