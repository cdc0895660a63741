"""A pod that is an identity of Entra by its service account's token, and says what Entra gave it for that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.arc.azure import Azure
from infra.image import find_node_image
from infra.model.work import Work
from tests.cluster import Kubernetes
from tests.waiting import eventually

NAME: Final = "reader"
SUBJECT: Final = f"system:serviceaccount:default:{NAME}"
_AUDIENCE: Final = "api://AzureADTokenExchange"
_VERSION: Final = "2023-01-31"
_TOKENS: Final = "/var/run/secrets/azure/tokens"
# What azure-identity does with the variables of a pod, by Python's own means: the image has no SDK.
_SCRIPT: Final = """
import json, os, ssl, urllib.error, urllib.parse, urllib.request

with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]) as file:
    assertion = file.read()
form = urllib.parse.urlencode({
    "client_id": os.environ["AZURE_CLIENT_ID"],
    "grant_type": "client_credentials",
    "scope": "https://management.azure.com/.default",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": assertion,
})
url = f"{os.environ['AZURE_AUTHORITY_HOST']}/{os.environ['AZURE_TENANT_ID']}/oauth2/v2.0/token"
trusted = ssl.create_default_context(cafile="/ca/ca.pem")
try:
    with urllib.request.urlopen(url, form.encode(), timeout=20, context=trusted) as answer:
        print(json.dumps({"token": assertion, **json.load(answer)}))
except urllib.error.HTTPError as error:
    print(json.dumps({"token": assertion, **json.load(error)}))
"""


def make_identity(azure: Azure, group: str, issuer: str, subject: str = SUBJECT) -> Mapping[str, Any]:
    """Make an identity that trusts a service account, as `az identity` does."""
    base = f"/subscriptions/{azure.scope.subscription_id}/resourceGroups/{group}/providers/"
    id, work = f"{base}Microsoft.ManagedIdentity/userAssignedIdentities/pods", Work().within(60)
    identity = azure.put_resource(id, _VERSION, {"location": "eastus"}, work)
    trusted = {"issuer": issuer, "subject": subject, "audiences": [_AUDIENCE]}
    azure.put_resource(f"{id}/federatedIdentityCredentials/pods", _VERSION, {"properties": trusted}, work)
    return identity


def remove_identity(azure: Azure, identity: Mapping[str, Any]) -> None:
    """Remove the identity, with whom it trusts."""
    azure.delete_resource(str(identity["id"]), _VERSION, Work().within(60))


def start(cluster: Kubernetes, authority: str, authorities: Path, identity: Mapping[str, Any]) -> None:
    """Start a pod as the webhook would have it: a projected token, and the variables that the SDKs read."""
    image = find_node_image()
    assert image is not None
    assert image.bundle is not None
    properties = identity["properties"]
    variables = {
        "AZURE_AUTHORITY_HOST": authority,
        "AZURE_CLIENT_ID": properties["clientId"],
        "AZURE_TENANT_ID": properties["tenantId"],
        "AZURE_FEDERATED_TOKEN_FILE": f"{_TOKENS}/azure-identity-token",
    }
    token = {"audience": _AUDIENCE, "expirationSeconds": 3600, "path": "azure-identity-token"}
    metadata = {"name": NAME}
    pod = {
        "serviceAccountName": NAME,
        "restartPolicy": "Never",
        "containers": [
            {
                "name": NAME,
                "image": image.bundle.images["agent-runtime"],
                "imagePullPolicy": "Never",
                "command": ["python3", "-c", _SCRIPT],
                "env": [{"name": name, "value": value} for name, value in variables.items()],
                "volumeMounts": [
                    {"name": "token", "mountPath": _TOKENS, "readOnly": True},
                    {"name": "ca", "mountPath": "/ca", "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
            {"name": "ca", "configMap": {"name": NAME}},
        ],
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"ca.pem": authorities.read_text()},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
    )


def answer(cluster: Kubernetes) -> dict[str, Any]:
    """Return the pod's token, and what Entra answered it; the pod goes."""

    def said() -> str:
        return cluster.run("logs", NAME).stdout.strip()

    eventually(said, "the pod has asked Entra")
    told: dict[str, Any] = json.loads(said().splitlines()[-1])
    for what in ("pod", "serviceaccount", "configmap"):
        cluster.kubectl("delete", what, NAME, "--wait=false")
    return told


def is_taken(cluster: Kubernetes, token: str) -> bool:
    """Return whether the API server takes a token."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    created = cluster.kubectl("create", "--filename", "-", "--output", "json", stdin=json.dumps(review))
    return json.loads(created)["status"].get("authenticated") is True
