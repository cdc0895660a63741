"""Whose tokens a cluster's API servers make: those of the issuer that Azure publishes.

A resource of its own since Azure names the issuer when the cluster is connected, and that is long after the API
servers began.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.model.base import Model
from infra.resources.contract import IGNORE, REPLACE, UPDATE, Contract, Secret
from infra.resources.control_plane import Member


class TokenIssuerInputs(Model):
    """What the program says of an issuer."""

    instance: Annotated[str, REPLACE]
    cluster: Annotated[str, REPLACE]
    kubeconfig: Annotated[str, UPDATE, Secret()]
    # Paths on whoever's machine runs Pulumi: no property of the cluster.
    identity_files: Annotated[list[str], IGNORE] = Field(
        default_factory=list, description="Private keys that may log in to the machines"
    )
    members: Annotated[list[Member], UPDATE] = Field(description="The control planes")
    signing_key: Annotated[str, UPDATE, Secret()] = Field(
        description="The public half of what signs tokens, PEM: Entra takes those that RSA signs"
    )
    issuer_url: Annotated[str | None, UPDATE] = Field(description="What Azure publishes for the connected cluster")


class TokenIssuerState(TokenIssuerInputs):
    """The issuer as API servers name it."""

    accepted: list[str] = Field(
        default_factory=list, description="Issuers whose tokens are taken; the first one is named in new ones"
    )


TOKEN_ISSUER = Contract(
    "azlocal:index:TokenIssuer",
    TokenIssuerInputs,
    TokenIssuerState,
    "The issuer that a cluster's API servers name in tokens of service accounts.",
    "{instance}/{cluster}",
)
