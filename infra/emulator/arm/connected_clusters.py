"""Microsoft.Kubernetes/connectedClusters."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from datetime import timedelta
from functools import cache
from typing import Any, Final

from infra.emulator import issuers
from infra.emulator.arm.call import Call
from infra.emulator.arm.kind import Kind, merged, without_nulls
from infra.emulator.connectivity import CLUSTERS, CONNECTED, status_of
from infra.emulator.http import JSON, Answer, Refusal
from infra.emulator.shapes import STRING, Field, Object, check_request, shape_of
from infra.emulator.store import Resource
from infra.emulator.world import World

_MODELS: Final = "azure.mgmt.hybridkubernetes.models"
_NAME: Final = re.compile(r"[-_a-zA-Z0-9]{1,260}")
# What only the agents' messages change; a PUT leaves it as it is.
_OF_AGENTS: Final = (
    "kubernetesVersion",
    "totalNodeCount",
    "totalCoreCount",
    "agentVersion",
    "offering",
    "managedIdentityCertificateExpirationTime",
    "lastConnectivityTime",
    "miscellaneousProperties",
)
_CREDENTIAL_LIFE: Final = timedelta(hours=3)
_PROXY_PORT: Final = 47011  # where the az CLI's proxy listens (arc_facts.md §1.12)
# From this version on a PATCH is an operation (arc_facts.md §1.11).
_PATCH_IS_OPERATION: Final = "2025-12-01"


class ConnectedClusters(Kind):
    """A Kubernetes cluster that is, or is to be, connected."""

    type = CLUSTERS
    operation_path = "/providers/Microsoft.Kubernetes/locations/{location}/operationStatuses/{id}"
    pending_put = "Accepted"

    def shape(self) -> Object:
        """Return ConnectedCluster's shape."""
        return _shape()

    def patch_shape(self) -> Object | None:
        """Return ConnectedClusterPatch's shape."""
        return shape_of(_MODELS, "ConnectedClusterPatch")

    def patches_at_once(self, call: Call) -> bool:
        """Return whether the client's version has PATCH end at once."""
        return call.version < _PATCH_IS_OPERATION

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the cluster that a PUT wants."""
        name = call.target.names[-1]
        if not _NAME.fullmatch(name):
            raise Refusal(
                400,
                "InvalidResourceName",
                f"The provided resource name '{name}' is invalid: it has to match '^{_NAME.pattern}$'.",
            )
        location = call.location_of(body)
        wanted = without_nulls(body["properties"])
        _check_key(wanted, existing)
        _check_private_link(call, wanted, location)
        _check_issuer(wanted, existing)
        old = existing.properties if existing is not None else {}
        properties: JSON = {
            "distribution": "generic",
            "infrastructure": "generic",
            "privateLinkState": "Disabled",
            "azureHybridBenefit": "NotApplicable",
            **_without_protected(wanted),
            **{key: old[key] for key in _OF_AGENTS if key in old},
            "arcAgentProfile": _agent_profile(wanted, old),
            "provisioningState": old.get("provisioningState", "Accepted"),
        }
        _give_issuer(call, properties, old)
        identity = call.identity(existing)
        if body["identity"]["type"] != "SystemAssigned":
            identity = {"type": "None"}
        shown = {
            "id": call.id,
            "name": name,
            "type": self.type,
            "location": location,
            "tags": body.get("tags") or {},
            "identity": identity,
            "systemData": call.system_data(existing),
            "properties": properties,
        }
        if body.get("kind"):
            shown["kind"] = body["kind"]
        return Resource(call.id, self.type, shown, existing.hidden if existing is not None else {})

    def patched(self, call: Call, body: JSON, existing: Resource) -> Resource:
        """Return the cluster with tags and a few properties changed; tags are replaced as a whole."""
        new = merged(existing.body, {"properties": body.get("properties") or {}})
        if body.get("tags") is not None:
            new["tags"] = body["tags"]
        new["systemData"] = call.system_data(existing)
        return Resource(existing.id, existing.type, new, existing.hidden)

    def shown(self, world: World, resource: Resource) -> JSON:
        """Return it with its connectivity as it is now."""
        status = status_of(resource, world.clock.now())
        return resource.with_properties(connectivityStatus=status).body

    def act(self, call: Call, resource: Resource, action: str) -> Answer:
        """Answer listClusterUserCredential: what the az CLI's proxy needs; no relay is behind it."""
        if action.lower() != "listclusterusercredential":
            return super().act(call, resource, action)
        body = check_request(shape_of(_MODELS, "ListClusterUserCredentialProperties"), call.request.json())
        if status_of(resource, call.world.clock.now()) != CONNECTED:
            raise Refusal(
                400,
                "ClusterNotConnected",
                f"The connected cluster '{resource.name}' isn't connected: its agents have to run.",
            )
        return Answer(200, _credential(call, resource, is_proxied=bool(body["clientProxy"])))


@cache
def _shape() -> Object:
    known = shape_of(_MODELS, "ConnectedCluster")
    # The gateway's id is in preview versions, and in what the az CLI sends.
    gateway = Object("Gateway", {"resourceId": Field(STRING)})
    return known.extended(properties=Object("ConnectedClusterProperties", {"gateway": Field(gateway)}))


def _check_key(wanted: JSON, existing: Resource | None) -> None:
    """Azure takes any base64 text; agents that can't prove to have its private half never connect."""
    key = wanted["agentPublicKeyCertificate"]
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(
            400, "BadRequest", "The property 'properties.agentPublicKeyCertificate' is not base64-encoded."
        ) from None
    before = existing.properties.get("agentPublicKeyCertificate") if existing is not None else None
    if before and key != before:
        raise Refusal(
            409,
            "PropertyChangeNotAllowed",
            "Changing property 'properties.agentPublicKeyCertificate' is not allowed. Delete the connected "
            "cluster and connect it again.",
        )


def _check_private_link(call: Call, wanted: JSON, location: str) -> None:
    scope = wanted.get("privateLinkScopeResourceId")
    if wanted.get("privateLinkState") != "Enabled":
        return
    link = call.world.store.get(scope) if scope else None
    if link is None or not link.type.lower().endswith("/privatelinkscopes"):
        raise Refusal(
            400,
            "InvalidPrivateLinkScope",
            f"The private link scope '{scope or ''}' of 'properties.privateLinkScopeResourceId' was not found.",
        )
    if link.body.get("location") != location:
        raise Refusal(
            400,
            "InvalidPrivateLinkScope",
            f"The private link scope is in '{link.body.get('location')}', the cluster in '{location}': they have "
            "to be in the same location.",
        )


def _check_issuer(wanted: JSON, existing: Resource | None) -> None:
    before = (existing.properties.get("oidcIssuerProfile") or {}) if existing is not None else {}
    if before.get("enabled") and not (wanted.get("oidcIssuerProfile") or {}).get("enabled"):
        raise Refusal(400, "BadRequest", "The OIDC issuer of a connected cluster can't be disabled once enabled.")


def _give_issuer(call: Call, properties: JSON, old: JSON) -> None:
    profile = properties.get("oidcIssuerProfile") or {}
    if not profile.get("enabled"):
        return
    own = profile.get("selfHostedIssuerUrl")
    before = (old.get("oidcIssuerProfile") or {}).get("issuerUrl")
    properties["oidcIssuerProfile"] = {
        **profile,
        "issuerUrl": own or before or issuers.new_url(call.world.settings),
    }
    if not own and not before:
        # Until agents have sent the keys.
        properties["arcAgentProfile"] = {**properties["arcAgentProfile"], "agentState": issuers.PENDING}


def _agent_profile(wanted: JSON, old: JSON) -> JSON:
    """Return the agents' profile with what the agents said of themselves."""
    profile = old.get("arcAgentProfile") or {}
    of_agents = {name: profile[name] for name in ("agentState", "agentErrors") if name in profile}
    return {"agentAutoUpgrade": "Enabled", **(wanted.get("arcAgentProfile") or {}), **of_agents}


def _without_protected(wanted: JSON) -> JSON:
    features = wanted.get("arcAgentryConfigurations")
    if not features:
        return wanted
    shown = [{name: value for name, value in each.items() if name != "protectedSettings"} for each in features]
    return {**wanted, "arcAgentryConfigurations": shown}


def _credential(call: Call, cluster: Resource, *, is_proxied: bool) -> JSON:
    name = hashlib.sha256(cluster.key.encode()).hexdigest()
    server = f"https://127.0.0.1:{_PROXY_PORT}/{name}"
    kubeconfig: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster.name, "cluster": {"server": server}}],
        "contexts": [{"name": cluster.name, "context": {"cluster": cluster.name, "user": "aad-user"}}],
        "current-context": cluster.name,
        "users": [{"name": "aad-user", "user": {}}],
    }
    shown: JSON = {
        "kubeconfigs": [
            {"name": "Kubeconfig", "value": base64.b64encode(json.dumps(kubeconfig).encode()).decode()}
        ]
    }
    if is_proxied:
        expires = int((call.world.clock.now() + _CREDENTIAL_LIFE).timestamp())
        relay = "azlocal-emulator"
        shown["hybridConnectionConfig"] = {
            "expirationTime": expires,
            "hybridConnectionName": f"microsoft.kubernetes/connectedclusters/{name}",
            "relay": relay,
            "token": f"SharedAccessSignature sr={relay}&se={expires}&sig=emulator&skn=none",
            "relayTid": call.world.settings.tenant_id,
            "relayType": "Default",
        }
    return shown
