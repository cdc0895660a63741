"""The cluster's certificate: how it is kept in the cluster, and how an agent shows that it has it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import clock, kube
from .errors import AgentError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SECRET = "azure-identity-certificate"  # noqa: S105 (a name)
_CERTIFICATE = "azure-identity-certificate"
_EXPIRES = "azure-identity-certificate-expiration-time"
_CLIENT = "azure-identity-client-id"
_RENEW = "cert-renew-after"

# A token lives shorter than any fault between two answers that tell the time.
_TOKEN_LIFE = timedelta(minutes=5)


@dataclass(frozen=True)
class Identity:
    """What the identity service gave the cluster.

    Attributes:
        pem: the private key and the certificate.
        expires: when the certificate ends.
        renew_after: from when on a new one should be asked for.
    """

    pem: bytes
    client_id: str
    expires: datetime
    renew_after: datetime

    def __repr__(self) -> str:
        return f"Identity(client_id={self.client_id!r}, expires={self.expires})"


def to_secret(identity: Identity, namespace: str, annotations: dict[str, str]) -> kube.Object:
    """Return the Secret that keeps it, with the keys that Azure's agents use."""
    meta = {**kube.metadata(SECRET, namespace), "annotations": annotations}
    content: dict[str, bytes | str] = {
        _CERTIFICATE: identity.pem,
        _EXPIRES: clock.write(identity.expires),
        _CLIENT: identity.client_id,
        _RENEW: clock.write(identity.renew_after),
    }
    return kube.secret(meta, content)


def from_secret(found: kube.Object) -> Identity:
    """Read the Secret.

    Raises:
        AgentError: it isn't whole.
    """
    content = kube.secret_content(found)
    try:
        return Identity(
            content[_CERTIFICATE],
            content[_CLIENT].decode(),
            clock.read(content[_EXPIRES].decode()),
            clock.read(content[_RENEW].decode()),
        )
    except (KeyError, ValueError) as error:
        raise AgentError(f"Secret {SECRET} can't be read: {error!r}") from None


def load(api: kube.Api, namespace: str) -> Identity:
    """Return the cluster's identity.

    Raises:
        AgentError: there is none yet.
    """
    found = api.find(kube.secret_path(namespace, SECRET))
    if found is None:
        raise AgentError(f'secret "{SECRET}" not found in {namespace}: clusteridentityoperator makes it')
    return from_secret(found)


def token(identity: Identity, audience: str, now: datetime) -> str:
    """Return a bearer token: a JWT that the certificate's key has signed, with the certificate in its header."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    key: Any = serialization.load_pem_private_key(identity.pem, None)
    certificate = x509.load_pem_x509_certificate(_certificate_pem(identity.pem))
    der = certificate.public_bytes(serialization.Encoding.DER)
    header = {"alg": "PS256", "typ": "JWT", "x5c": [base64.b64encode(der).decode()]}
    seconds = int(now.timestamp())
    claims = {
        "aud": audience,
        "iss": identity.client_id,
        "sub": identity.client_id,
        "iat": seconds,
        "exp": seconds + int(_TOKEN_LIFE.total_seconds()),
    }
    signed = f"{_part(header)}.{_part(claims)}"
    return f"{signed}.{_text(sign(key, signed.encode(), salt=32))}"


def sign(key: RSAPrivateKey, content: bytes, *, salt: int) -> bytes:
    """Return the RSA-PSS signature with SHA-256; PS256 takes a salt of 32 bytes."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return key.sign(content, padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())


def proof(nonce: str, request: bytes) -> bytes:
    """Return what is signed to get a certificate: the service's nonce, tied to this one request."""
    return f"{nonce}\n{hashlib.sha256(request).hexdigest()}".encode()


def _certificate_pem(pem: bytes) -> bytes:
    begin = pem.find(b"-----BEGIN CERTIFICATE-----")
    if begin < 0:
        raise AgentError(f"Secret {SECRET} holds no certificate")
    return pem[begin:]


def _part(content: dict[str, Any]) -> str:
    return _text(json.dumps(content, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
