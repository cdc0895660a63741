"""Microsoft.ManagedIdentity: identities that people make, and whose tokens each of them trusts.

Shapes and limits: learn.microsoft.com, REST API of managed identities, and Entra's "workload identity federation:
considerations" (twenty credentials at most, one of an issuer and subject, one audience).
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from infra.emulator.arm.call import Call, not_found
from infra.emulator.arm.kind import Kind
from infra.emulator.arm.other_kinds import ENVELOPE, plain
from infra.emulator.http import JSON, Answer, Refusal
from infra.emulator.shapes import ANY, STRING, Field, ListOf, MapOf, Object
from infra.emulator.store import Resource, Store

IDENTITIES: Final = "Microsoft.ManagedIdentity/userAssignedIdentities"
CREDENTIALS: Final = f"{IDENTITIES}/federatedIdentityCredentials"
_MOST: Final = 20
_LONGEST: Final = 600  # of an issuer, subject or audience
_IDENTITY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}")
_CREDENTIAL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}")


class UserAssignedIdentities(Kind):
    """An identity that is a resource of its own; nobody is asked which rights it has."""

    type = IDENTITIES
    asynchronous = False

    def shape(self) -> Object:
        """Return Identity's shape."""
        properties = Object(
            "UserAssignedIdentityProperties",
            {
                **{name: Field(STRING, read_only=True) for name in ("clientId", "principalId", "tenantId")},
                "isolationScope": Field(STRING),
            },
        )
        fields = {"location": Field(STRING, required=True), "tags": Field(MapOf(STRING))}
        return Object("Identity", {**ENVELOPE, **fields, "properties": Field(properties)})

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the identity; its ids stay what they were."""
        _require_name(call, _IDENTITY_NAME)
        location, old = call.location_of(body), existing.properties if existing is not None else {}
        ids = {name: old.get(name) or str(uuid.uuid4()) for name in ("clientId", "principalId")}
        properties = {**(body.get("properties") or {}), **ids, "tenantId": call.world.settings.tenant_id}
        fields = {"location": location, "tags": body.get("tags") or {}, "properties": properties}
        return plain(call, self.type, existing, fields)


class FederatedIdentityCredentials(Kind):
    """Whose tokens are taken for an identity: an issuer's, of one subject, for one audience."""

    type = CREDENTIALS
    asynchronous = False

    def shape(self) -> Object:
        """Return FederatedIdentityCredential's shape."""
        properties = Object(
            "FederatedIdentityCredentialProperties",
            {
                "issuer": Field(STRING, required=True),
                "subject": Field(STRING, required=True),
                "audiences": Field(ListOf(STRING), required=True),
                "claimsMatchingExpression": Field(ANY),
            },
        )
        return Object("FederatedIdentityCredential", {**ENVELOPE, "properties": Field(properties, required=True)})

    def list(self, call: Call) -> Answer:
        """Answer a GET of an identity's credentials."""
        identity = _identity(call)
        credentials = call.world.store.under(identity.id, self.type)
        return Answer(200, {"value": [credential.body for credential in credentials], "nextLink": None})

    def build(self, call: Call, body: JSON, existing: Resource | None) -> Resource:
        """Return the credential."""
        identity, wanted = _identity(call), body["properties"]
        _require_name(call, _CREDENTIAL_NAME)
        _check(wanted)
        others = [other for other in call.world.store.under(identity.id, self.type) if other.id != call.id]
        if existing is None and len(others) >= _MOST:
            raise _bad(f"Too many federated identity credentials on the identity: at most {_MOST} are allowed.")
        if any(_names(other.properties) == _names(wanted) for other in others):
            raise Refusal(
                409,
                "Conflict",
                "Issuer and subject combination already exists for this Managed Identity.",
            )
        return plain(call, self.type, existing, {"properties": wanted})


def identity_of(store: Store, client_id: str) -> Resource | None:
    """Return the identity that a client id is of."""
    wanted = client_id.lower()
    return next(
        (identity for identity in store.of_type(IDENTITIES) if identity.properties["clientId"] == wanted), None
    )


def _identity(call: Call) -> Resource:
    name = call.target.names[0]
    identity = call.world.store.get(f"{call.target.scope}/providers/{IDENTITIES}/{name}")
    if identity is None:
        raise not_found(f"{IDENTITIES}/{name}", call.target.group)
    return identity


def _check(wanted: JSON) -> None:
    issuer, audiences = str(wanted["issuer"]), wanted["audiences"]
    if not issuer.startswith("https://"):
        raise _bad(f"The issuer '{issuer}' has to be a URL that begins with https://.")
    if not wanted["subject"]:
        raise _bad("The subject must not be empty.")
    if len(audiences) != 1 or not audiences[0]:
        raise _bad(f"Exactly one audience is supported, not {len(audiences)}.")
    if any(len(value) > _LONGEST for value in (issuer, wanted["subject"], audiences[0])):
        raise _bad(f"Issuer, subject and audience have at most {_LONGEST} characters each.")


def _names(properties: JSON) -> tuple[str, str]:
    return properties["issuer"], properties["subject"]


def _require_name(call: Call, pattern: re.Pattern[str]) -> None:
    name = call.target.names[-1]
    if not pattern.fullmatch(name):
        raise Refusal(
            400,
            "InvalidResourceName",
            f"The provided resource name '{name}' is invalid: it has to match '^{pattern.pattern}$'.",
        )


def _bad(message: str) -> Refusal:
    return Refusal(400, "BadRequest", message)
