"""Access tokens as Entra issues them: JSON Web Tokens, signed by a key that outlives restarts.

They follow the machine's time, not the emulator's: clients keep a token until it expires by their own clock.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import RSAAlgorithm

LIFE_SECONDS: Final = 3599
_ALGORITHM: Final = "RS256"


class Tokens:
    """Issues and reads tokens of one tenant."""

    def __init__(self, key: RSAPrivateKey, tenant_id: str) -> None:
        self._key = key
        self._tenant_id = tenant_id
        numbers = key.public_key().public_numbers()
        self._key_id = hashlib.sha256(f"{numbers.n}".encode()).hexdigest()[:32]

    def issue(self, audience: str, application_id: str, object_id: str, **claims: Any) -> str:
        """Return a token for an audience, such as `https://management.azure.com`."""
        now = int(time.time())
        content = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self._tenant_id}/",
            "iat": now,
            "nbf": now,
            "exp": now + LIFE_SECONDS,
            "appid": application_id,
            "appidacr": "1",
            "idtyp": "app",
            "oid": object_id,
            "sub": object_id,
            "tid": self._tenant_id,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
            **claims,
        }
        return jwt.encode(content, self._key, algorithm=_ALGORITHM, headers={"kid": self._key_id})

    def claims(self, token: str) -> Mapping[str, Any]:
        """Return what a token of ours says.

        Raises:
            jwt.InvalidTokenError: it isn't ours, or has expired (jwt.ExpiredSignatureError).
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key.public_key(), algorithms=[_ALGORITHM], options={"verify_aud": False}
            )
        except RecursionError:  # of the header's JSON, which nobody has vouched for
            raise jwt.DecodeError("its header is nested too deeply") from None
        return claims

    def jwks(self) -> dict[str, Any]:
        """Return the key that tokens are checked with, as `jwks_uri` shows it."""
        shown = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**shown, "use": "sig", "kid": self._key_id, "alg": _ALGORITHM}]}
