"""Whether the API server can call a webhook, against an API server that is only objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infra.kubernetes.api import ApiError, ClusterApi, NotFound, Object
from infra.kubernetes.webhooks import unanswered_webhooks

GROUP = "/apis/metallb.io/v1beta1"
REFUSED = 'failed calling webhook "bfd.metallb.io": dial tcp 10.96.0.7:443: connect: connection refused'
NO_ENDPOINTS = "no endpoints available for service"


def webhook(resource: str, **changes: Any) -> Object:
    rule = {
        "apiGroups": ["metallb.io"],
        "apiVersions": ["v1beta1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": [resource],
    }
    service = {"name": "webhooks", "namespace": "metallb-system"}
    return {
        "name": f"{resource}.metallb.io",
        "clientConfig": {"service": service, "caBundle": "LS0t"},
        "rules": [rule],
        **changes,
    }


class Webhooks(ClusterApi):
    """An API server with webhooks, and what it answers where it is asked to make something."""

    def __init__(self, webhooks: list[Object], answers: Mapping[str, ApiError]) -> None:
        self.webhooks, self.answers = webhooks, answers
        self.made: list[tuple[str, Mapping[str, Any] | None, Mapping[str, str] | None]] = []

    def items(self, path: str, **query: str) -> list[Object]:
        """Return the webhooks' configuration."""
        return [{"webhooks": self.webhooks}] if path.endswith("/validatingwebhookconfigurations") else []

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json, */*",
    ) -> str:
        """Answer as told; remember what is to be made."""
        if method == "POST":
            self.made.append((path, body, query))
        for end, error in self.answers.items():
            if path.endswith(end):
                raise error
        kinds = (("bfdprofiles", "BFDProfile"), ("ipaddresspools", "IPAddressPool"))
        resources = [{"name": name, "kind": kind, "namespaced": True} for name, kind in kinds]
        return json.dumps({"resources": resources} if path == GROUP else {})


def unanswered(webhooks: list[Object], **answers: ApiError) -> dict[str, str]:
    return unanswered_webhooks(
        Webhooks(webhooks, {f"/{end}": error for end, error in answers.items()}), {"metallb-system"}
    )


def test_a_service_whose_address_nobody_forwards_yet_cannot_be_called() -> None:
    refused = ApiError(f"Internal error occurred: {REFUSED}", 500)
    assert unanswered([webhook("bfdprofiles")], bfdprofiles=refused) == {
        "bfdprofiles.metallb.io": f"Internal error occurred: {REFUSED}"
    }


@pytest.mark.parametrize(
    "answer",
    [
        ApiError('admission webhook "bfd.metallb.io" denied the request', 403),
        ApiError("IPAddressPool is invalid: spec: Required value", 422),
    ],
)
def test_an_answer_that_is_not_of_a_failed_call_holds_nothing_up(answer: ApiError) -> None:
    assert unanswered([webhook("bfdprofiles")], bfdprofiles=answer) == {}


def test_nothing_is_made_to_find_out() -> None:
    api = Webhooks([webhook("ipaddresspools")], {})
    assert unanswered_webhooks(api, {"metallb-system"}) == {}
    [(path, body, query)] = api.made
    assert path == f"{GROUP}/namespaces/metallb-system/ipaddresspools"
    assert body == {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "dry-run"}}
    assert query == {"dryRun": "All"}


def test_a_service_without_endpoints_or_certificate_is_not_even_tried() -> None:
    api = Webhooks([webhook("bfdprofiles")], {"/proxy/": ApiError(NO_ENDPOINTS, 503)})
    assert unanswered_webhooks(api, {"metallb-system"}) == {"bfdprofiles.metallb.io": NO_ENDPOINTS}
    bare = webhook("bfdprofiles", clientConfig={"service": {"name": "w", "namespace": "metallb-system"}})
    assert list(unanswered_webhooks(api, {"metallb-system"})) == ["bfdprofiles.metallb.io"]
    api.webhooks = [bare]
    assert unanswered_webhooks(api, {"metallb-system"})["bfdprofiles.metallb.io"].startswith("its certificate")
    assert api.made == []


def test_what_a_webhook_checks_of_every_group_or_of_a_group_that_is_gone_tells_nothing() -> None:
    everything = webhook("bfdprofiles", rules=[{**webhook("*")["rules"][0], "apiGroups": ["*"]}])
    assert unanswered([everything], bfdprofiles=ApiError(REFUSED, 500)) == {}
    assert unanswered([webhook("bfdprofiles")], v1beta1=NotFound("not found", 404)) == {}
