"""Admission webhooks that an API server can't call yet: until it can, it refuses every object that they check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from functools import cache, partial
from typing import Any, Final

from infra.kubernetes.api import ApiError, ClusterApi, Object

Kinds = Callable[[str], list[Object]]
"""Returns the kinds of a group's version, by its path."""

_NOT_CALLED: Final = "failed calling webhook"
"""What the API server's refusal begins with (k8s.io/apiserver, pkg/admission/plugin/webhook/errors)."""


def unanswered_webhooks(api: ClusterApi, namespaces: Set[str]) -> dict[str, str]:
    """Return why webhooks whose service is in one of these namespaces can't be called, by the webhook's name.

    MetalLB's, for one: without it no address pool can be made.
    """
    reasons: dict[str, str] = {}
    kinds = cache(partial(_kinds, api))  # several webhooks check kinds of one group
    for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        for configuration in api.items(f"/apis/admissionregistration.k8s.io/v1/{kind}"):
            for webhook in configuration.get("webhooks", []):
                service = webhook["clientConfig"].get("service")
                if service and service["namespace"] in namespaces:
                    reason = _why_unanswered(api, webhook, service, kinds)
                    if reason:
                        reasons[webhook["name"]] = reason
    return reasons


def _kinds(api: ClusterApi, path: str) -> list[Object]:
    """Return the kinds of a group's version."""
    kinds: list[Object] = (api.find(path) or {}).get("resources", [])
    return kinds


def _why_unanswered(api: ClusterApi, webhook: Mapping[str, Any], service: Mapping[str, Any], kinds: Kinds) -> str:
    if not webhook["clientConfig"].get("caBundle"):
        return "its certificate isn't in place yet"
    name = f"https:{service['name']}:{service.get('port', 443)}"
    try:
        api.text(f"/api/v1/namespaces/{service['namespace']}/services/{name}/proxy/")
    except ApiError as error:
        # Any answer of its own is one; 5xx is the API server saying that there was none.
        if error.status >= 500:
            return str(error)
    return _why_not_called(api, webhook, service["namespace"], kinds)


def _why_not_called(api: ClusterApi, webhook: Mapping[str, Any], namespace: str, kinds: Kinds) -> str:
    """Have the API server call the webhook: it does so by the service's address, not by its endpoints.

    That address works once kube-proxy on the API server's node knows of the endpoints, which takes it a moment.
    What is asked for is a dry run of an object with nothing in it. Where that is refused before the webhook's
    turn, by a schema for one, this tells nothing: another webhook of the same service may.
    """
    for path, body in _dry_runs(webhook, namespace, kinds):
        try:
            api.send("POST", path, body, query={"dryRun": "All"})
        except ApiError as error:
            if _NOT_CALLED in str(error):
                return str(error)
    return ""


def _dry_runs(webhook: Mapping[str, Any], namespace: str, kinds: Kinds) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where an object of each custom kind that a webhook checks is made, and such an object."""
    for rule in webhook.get("rules", ()):
        if not {"CREATE", "*"} & set(rule["operations"]):
            continue
        for group, version in ((group, version) for group in rule["apiGroups"] for version in rule["apiVersions"]):
            if not group or "*" in (group, version):
                continue
            for kind in kinds(f"/apis/{group}/{version}"):
                if kind["name"] in rule["resources"]:
                    scope = f"/namespaces/{namespace}" if kind["namespaced"] else ""
                    body = {
                        "apiVersion": f"{group}/{version}",
                        "kind": kind["kind"],
                        "metadata": {"name": "dry-run"},
                    }
                    yield f"/apis/{group}/{version}{scope}/{kind['name']}", body
