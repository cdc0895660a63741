"""Definitions of the Flux objects that the agents write (Flux's own, if they are built), without controllers."""

from __future__ import annotations

import json
from typing import Any

from infra.image.bundle import find_bundle
from tests.kubernetes_plugin.apiserver import ApiServer

_KINDS = (
    ("source.toolkit.fluxcd.io", "GitRepository", "gitrepositories"),
    ("source.toolkit.fluxcd.io", "OCIRepository", "ocirepositories"),
    ("source.toolkit.fluxcd.io", "Bucket", "buckets"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations"),
)


def define(cluster: ApiServer) -> None:
    """Make the definitions, and wait until the API server knows them."""
    bundle = find_bundle()
    if bundle is not None and "flux" in bundle.charts:
        cluster.kubectl("apply", "--server-side", "-f", str(bundle.charts["flux"] / "crds"))
    else:
        made = [_definition(*kind) for kind in _KINDS]
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    names = [f"crd/{plural}.{group}" for group, _, plural in _KINDS]
    cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=30s")


def say(cluster: ApiServer, kind: str, namespace: str, name: str, status: dict[str, Any]) -> None:
    """Write an object's status, as its controller would."""
    cluster.kubectl(
        *("-n", namespace, "patch", kind, name, "--subresource=status", "--type=merge"),
        *("-p", json.dumps({"status": status})),
    )


def ready(status: str, reason: str, message: str = "") -> dict[str, Any]:
    """Return a Ready condition."""
    condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
    said = {"conditions": [{**condition, "lastTransitionTime": "2026-11-21T21:00:00Z"}]}
    return {**said, "observedGeneration": 1} if status == "True" else said


def _definition(group: str, kind: str, plural: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
