"""Clusters as OpenID Connect issuers: where tokens of their service accounts can be checked.

Azure hosts a cluster's issuer at a URL of its own and gets the keys from the cluster's agents. So does the
emulator, below its own address: what a cluster's tokens name as their issuer is where their keys can be read.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.routing import Route

from infra.emulator.clock import Clock, text
from infra.emulator.connectivity import CLUSTERS
from infra.emulator.http import JSON, Answer, Refusal, Request
from infra.emulator.routes import route
from infra.emulator.settings import Settings
from infra.emulator.store import Resource, Store
from infra.emulator.world import World

_PREFIX: Final = "/oic"
_KEYS_PATH: Final = "openid/v1/jwks"
_RECORD: Final = "issuer"
_RECORD_KEY: Final = "keys"
# What the state of the agents is until they have sent the keys; what it is afterwards.
PENDING: Final = "Updating"
PUBLISHED: Final = "Succeeded"


class Key(BaseModel):
    """A public key as a JSON Web Key (RFC 7517); of a private one only this half is read."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    kty: str
    kid: str
    use: str = "sig"
    alg: str = ""
    n: str | None = None
    e: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


class Keys(BaseModel):
    """What agents send: the keys that the cluster's API server serves at /openid/v1/jwks."""

    model_config = ConfigDict(extra="ignore", strict=True)

    keys: list[Key] = Field(min_length=1, max_length=16)


def routes(world: World) -> list[Route]:
    """Return what every issuer answers, to whoever asks: a document that leads to its keys, and the keys."""
    issuer = _PREFIX + "/{tenant}/{issuer}"
    return [
        route(world, f"{issuer}/.well-known/openid-configuration", _configuration, ["GET"]),
        route(world, f"{issuer}/{_KEYS_PATH}", _published, ["GET"]),
    ]


def new_url(settings: Settings) -> str:
    """Return the URL of a new issuer; it ends with a slash, as Azure's does."""
    return f"{settings.agent_url}{_PREFIX}/{settings.tenant_id}/{uuid.uuid4()}/"


def awaits_keys(cluster: Resource) -> bool:
    """Return whether agents are to send a cluster's keys: its issuer is on, and isn't the user's own."""
    profile = cluster.properties.get("oidcIssuerProfile") or {}
    return bool(profile.get("enabled")) and not profile.get("selfHostedIssuerUrl")


def asked_of_agents(store: Store, cluster: Resource) -> JSON:
    """Return what agents are told of their cluster's keys: whether to send them, and whether some are here."""
    record = store.record(cluster.id, _RECORD, _RECORD_KEY)
    return {"publishesKeys": awaits_keys(cluster), "hasKeys": record is not None}


def publish(store: Store, clock: Clock, cluster: Resource, keys: Keys) -> None:
    """Keep a cluster's keys, in place of those that it had; its agents have done what was asked of them."""
    content = {"keys": [key.model_dump(exclude_none=True) for key in keys.keys], "published": text(clock.now())}
    store.put_record(cluster.id, _RECORD, _RECORD_KEY, content)
    profile = cluster.properties.get("arcAgentProfile") or {}
    store.put(cluster.with_properties(arcAgentProfile={**profile, "agentState": PUBLISHED}))


def keys_of(store: Store, issuer: str) -> JSON | None:
    """Return the keys that are published for an issuer, a JSON Web Key Set; None where it publishes none."""
    for cluster in store.of_type(CLUSTERS):
        profile: Mapping[str, Any] = cluster.properties.get("oidcIssuerProfile") or {}
        if awaits_keys(cluster) and profile.get("issuerUrl") == issuer:
            record = store.record(cluster.id, _RECORD, _RECORD_KEY)
            return {"keys": record["keys"]} if record else None
    return None


def _configuration(world: World, request: Request) -> Answer:
    issuer, _ = _of(world, request)
    return Answer(
        200,
        {
            "issuer": issuer,
            "jwks_uri": f"{issuer}{_KEYS_PATH}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        },
    )


def _published(world: World, request: Request) -> Answer:
    _, keys = _of(world, request)
    return Answer(200, keys, {"content-type": "application/jwk-set+json"})


def _of(world: World, request: Request) -> tuple[str, JSON]:
    """Return the issuer that a path names, as tokens spell it, and its keys.

    Raises:
        Refusal: there is none, or its cluster's agents haven't sent the keys yet.
    """
    names = request.path_parameters
    wanted = f"{_PREFIX}/{names['tenant']}/{names['issuer']}/"
    for cluster in world.store.of_type(CLUSTERS):
        # By its path: the emulator answers at this machine's own address, too.
        issuer = str((cluster.properties.get("oidcIssuerProfile") or {}).get("issuerUrl") or "")
        if issuer.endswith(wanted) and (keys := keys_of(world.store, issuer)):
            return issuer, keys
    raise Refusal(404, "NotFound", f"No issuer publishes keys at '{request.path}'.")
