"""Tokens of other issuers that Entra takes instead of a secret: workload identity federation.

A client assertion counts where the application has a federated identity credential of the token's issuer, subject
and audience, compared letter by letter, and where a key that the issuer publishes has signed it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import jwt

from infra.emulator.arm.managed_identity import CREDENTIALS, identity_of
from infra.emulator.issuers import keys_of
from infra.emulator.store import Store

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGORITHMS: Final = ("RS256", "RS384", "RS512")
_SKEW_SECONDS: Final = 300  # that clocks may differ by
_LONGEST: Final = 16_384
_HELP: Final = (
    "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. "
    "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)
_INVALID_CLIENT: Final = "invalid_client"


class Rejected(Exception):
    """A client that Entra doesn't let in, with its error code and what it says."""

    def __init__(self, status: int, code: int, error: str, description: str) -> None:
        super().__init__(f"AADSTS{code}: {description}")
        self.status = status
        self.code = code
        self.error = error
        self.description = description


def check_assertion(store: Store, client_id: str, assertion: str) -> None:
    """Return if an assertion speaks for a managed identity.

    Args:
        store: Where identities, their credentials and the issuers' keys are.
        client_id: Of the identity; it exists.
        assertion: A JSON Web Token. Its time is compared with this machine's: clusters know no other.

    Raises:
        Rejected: It doesn't; says why, never what the token is.
    """
    header, claims = _read(assertion)
    _match(_credentials(store, client_id), claims)
    _check_signature(store, header, claims, assertion)
    _check_time(claims)


def _read(assertion: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what a token says of itself, of which nothing is believed yet."""
    try:
        if len(assertion) > _LONGEST:
            raise jwt.DecodeError("it is too long")
        content = jwt.decode_complete(assertion, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError, ValueError):
        raise Rejected(400, 50027, "invalid_request", "JWT token is invalid or malformed.") from None
    header, claims = content["header"], content["payload"]
    if header.get("alg") not in _ALGORITHMS:
        raise Rejected(
            401,
            5002738,
            _INVALID_CLIENT,
            f"Invalid JWT token. '{_shown(header.get('alg'))}' is not a supported signature algorithm. Supported "
            f"signing algorithms are: '{','.join(_ALGORITHMS)}'",
        )
    return header, claims


def _credentials(store: Store, client_id: str) -> list[Mapping[str, Any]]:
    identity = identity_of(store, client_id)
    records = store.under(identity.id, CREDENTIALS) if identity is not None else []
    if not records:
        raise Rejected(
            401,
            70025,
            _INVALID_CLIENT,
            f"The client '{client_id}' has no configured federated identity credentials.",
        )
    return [credential.properties for credential in records]


def _match(known: Sequence[Mapping[str, Any]], claims: Mapping[str, Any]) -> None:
    """Return if one credential has the token's issuer, subject and audience."""
    issuer, subject = claims.get("iss"), claims.get("sub")
    audience_claim = claims.get("aud")
    listed = audience_claim if isinstance(audience_claim, list) else [audience_claim]
    audiences = {str(audience) for audience in listed}
    if not any(credential["issuer"] == issuer for credential in known):
        raise _unmatched(700211, "issuer", issuer)
    if not any(credential["subject"] == subject for credential in known):
        raise _unmatched(700213, "subject", subject)
    if not any(audiences & set(credential["audiences"]) for credential in known):
        raise _unmatched(700212, "audience", ", ".join(sorted(audiences)))
    if not any(
        credential["issuer"] == issuer
        and credential["subject"] == subject
        and audiences & set(credential["audiences"])
        for credential in known
    ):
        raise Rejected(
            400,
            70021,
            "invalid_request",
            "No matching federated identity record found for presented assertion. Assertion Issuer: "
            f"'{_shown(issuer)}'. Assertion Subject: '{_shown(subject)}'. Assertion Audience: "
            f"'{_shown(', '.join(sorted(audiences)))}'. {_HELP}",
        )


def _unmatched(code: int, what: str, value: object) -> Rejected:
    description = (
        f"No matching federated identity record found for presented assertion {what} '{_shown(value)}'. {_HELP}"
    )
    return Rejected(401, code, _INVALID_CLIENT, description)


def _check_signature(store: Store, header: Mapping[str, Any], claims: Mapping[str, Any], assertion: str) -> None:
    keys = keys_of(store, str(claims["iss"]))
    if keys is None:
        raise Rejected(400, 501661, "invalid_request", "Request to External OIDC endpoint failed.")
    key_id = header.get("kid")
    known = next((key for key in keys["keys"] if key["kid"] == key_id), None)
    if known is None:
        raise Rejected(
            401,
            7000272,
            _INVALID_CLIENT,
            f"The certificate with identifier '{_shown(key_id)}' used to sign the federated credential could not "
            f"be found in the metadata of identity provider with issuer '{_shown(claims['iss'])}'.",
        )
    try:
        jwt.decode(
            assertion,
            jwt.PyJWK(known, algorithm=str(header["alg"])).key,
            algorithms=[str(header["alg"])],
            options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except (jwt.InvalidTokenError, jwt.PyJWKError, TypeError, ValueError):
        raise Rejected(401, 700027, _INVALID_CLIENT, "Client assertion contains an invalid signature.") from None


def _check_time(claims: Mapping[str, Any]) -> None:
    now, start, end = time.time(), _seconds(claims.get("nbf", 0)), _seconds(claims.get("exp"))
    if start is None or end is None or not start - _SKEW_SECONDS <= now < end + _SKEW_SECONDS:
        raise Rejected(
            401,
            700024,
            _INVALID_CLIENT,
            "Client assertion is not within its valid time range. Current time: "
            f"{_moment(now)}, assertion valid from {_moment(start)}, expiry time of assertion {_moment(end)}.",
        )


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e11 else None


def _moment(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}Z"


def _shown(value: object) -> str:
    return str(value)[:200]
