"""How a cluster's agents show who they are: once by the onboarding's private key, then by a certificate."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from infra import certificates
from infra.emulator.clock import Clock, parse, text
from infra.emulator.connectivity import CERTIFICATE_LIFE, RENEWAL_AFTER
from infra.emulator.store import Resource, Store

_NONCE: Final = "nonce"  # what azlocal 0.1.0 kept: each one that it gave out
_USED: Final = "usedNonce"
_CERTIFICATE: Final = "certificate"
_ISSUER_KEY: Final = "agents.issuerKey"
_NONCE_KEY: Final = "agents.nonceKey"
_NONCE_LIFE: Final = timedelta(minutes=5)
_TOKEN_LEEWAY: Final = timedelta(minutes=1)
_LEAST_BITS: Final = 2048
# What a cluster's agents may leave here: a proof renews a certificate for months; a failed one is tried again.
_MOST_USED: Final = 64
_MOST_CERTIFICATES: Final = 64
_LONGEST_NAME: Final = 64  # of a CN (RFC 5280, upper bounds)
_BACK: Final = timedelta(minutes=5)  # for clocks of machines that are a little behind


class Unusable(Exception):
    """A proof or token that doesn't hold."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Asked:
    """A request for a certificate.

    Attributes:
        request: the certificate request, as DER.
        signature: RSA-PSS over the nonce and the request's hash.
    """

    nonce: str
    request: bytes
    signature: bytes


@dataclass(frozen=True)
class Issued:
    """A certificate that an agent gets."""

    pem: str
    expires: datetime
    renew_after: datetime


def challenge(store: Store, clock: Clock, cluster: Resource) -> str:
    """Return a nonce that a cluster can use once, within minutes.

    Anybody may ask for one, so none is kept: it says until when it holds, under a seal that also names the
    cluster. Those that were used are kept, and to use one takes the cluster's private key.
    """
    until = int((clock.now() + _NONCE_LIFE).timestamp())
    content = f"{until}.{secrets.token_urlsafe(24)}"
    return f"{content}.{_seal(store, cluster, content)}"


def forget_challenges(store: Store) -> None:
    """Forget the nonces that azlocal 0.1.0 gave out and kept."""
    store.delete_records(_NONCE)


def read_request(body: Mapping[str, Any], authorization: str) -> Asked:
    """Read a request for a certificate.

    Raises:
        Unusable: it isn't one.
    """
    scheme, _, signature = authorization.partition(" ")
    try:
        if scheme.lower() != "rsapss":
            raise ValueError(f"authorization scheme {scheme!r}, not rsapss")
        nonce = str(body["nonce"])
        if not nonce.isascii():
            raise ValueError("its nonce is none of ours")
        return Asked(
            nonce=nonce,
            request=base64.b64decode(str(body["csr"]), validate=True),
            signature=base64.b64decode(signature, validate=True),
        )
    except (KeyError, ValueError, binascii.Error) as error:
        raise Unusable(400, "InvalidRequestContent", f"This isn't a request for a certificate: {error}") from None


def check_proof(store: Store, clock: Clock, cluster: Resource, asked: Asked) -> None:
    """Check that who asks holds the private key of the cluster's onboarding; the nonce is used up.

    Raises:
        Unusable: it doesn't, or the cluster's public key is of no use, or it asks without end (429).
    """
    key = public_key(str(cluster.properties.get("agentPublicKeyCertificate", "")), cluster.name)
    until = _holds_until(store, cluster, asked.nonce)
    if until is None or until <= clock.now() or store.record(cluster.id, _USED, asked.nonce) is not None:
        raise Unusable(401, "InvalidNonce", "The nonce is unknown, was used, or is too old.")
    proof = f"{asked.nonce}\n{hashlib.sha256(asked.request).hexdigest()}".encode()
    try:
        key.verify(asked.signature, proof, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    except InvalidSignature:
        raise Unusable(
            401,
            "SignatureMismatch",
            f"The signature isn't of the key whose public half is {cluster.name}'s agentPublicKeyCertificate.",
        ) from None
    if _forget_expired(store, clock, cluster, _USED) >= _MOST_USED:
        raise Unusable(429, "TooManyRequests", f"{cluster.name} has asked for too many certificates at once.")
    store.put_record(cluster.id, _USED, asked.nonce, {"expires": text(until)})


def public_key(text_: str, cluster: str) -> RSAPublicKey:
    """Read what `agentPublicKeyCertificate` has to be: base64 of the DER of a PKCS#1 RSAPublicKey.

    Raises:
        Unusable: it is something else (with SubjectPublicKeyInfo, Azure's agents crash again and again).
    """
    rule = "agentPublicKeyCertificate has to be the base64 of the DER of a PKCS#1 RSAPublicKey"
    try:
        der = base64.b64decode(text_, validate=True)
        key = serialization.load_der_public_key(der)
    except (ValueError, binascii.Error):
        raise Unusable(400, "InvalidPublicKey", f"{rule}; that of {cluster} is no public key.") from None
    if not isinstance(key, RSAPublicKey):
        raise Unusable(400, "InvalidPublicKey", f"{rule}; that of {cluster} is no RSA key.")
    pkcs1 = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    if der != pkcs1:
        raise Unusable(
            400,
            "InvalidPublicKey",
            f"{rule}; that of {cluster} is a SubjectPublicKeyInfo (`openssl rsa -RSAPublicKey_out` writes the "
            "right form). Delete the connected cluster and connect it again.",
        )
    return key


def issue(store: Store, clock: Clock, cluster: Resource, asked: Asked) -> Issued:
    """Make a certificate for a request whose proof holds, and remember that it was issued.

    Of too many that still hold, the oldest are forgotten: they hold no more.

    Raises:
        Unusable: the request is no good.
    """
    key = _requested_key(asked.request)
    now = clock.now()
    expires = now + CERTIFICATE_LIFE
    principal = str((cluster.body.get("identity") or {}).get("principalId") or cluster.name)
    certificate = certificates.issue(
        certificates.x509_name(principal[:_LONGEST_NAME]),
        key,
        certificates.x509_name("azlocal emulator: agents"),
        _issuer_key(store),
        now - _BACK,
        expires,
        x509.BasicConstraints(ca=False, path_length=None),
        certificates.CLIENT,
    )
    surplus = _forget_expired(store, clock, cluster, _CERTIFICATE) + 1 - _MOST_CERTIFICATES
    for oldest in list(store.records(cluster.id, _CERTIFICATE))[: max(surplus, 0)]:
        store.delete_record(cluster.id, _CERTIFICATE, oldest)
    store.put_record(cluster.id, _CERTIFICATE, _fingerprint(certificate), {"expires": text(expires)})
    return Issued(certificates.certificate_pem(certificate), expires, now + RENEWAL_AFTER)


def check_token(store: Store, clock: Clock, cluster: Resource, token: str, audience: str) -> None:
    """Check that a token was signed just now, for us, by the key of a certificate that this cluster was given.

    Raises:
        Unusable: it wasn't.
    """
    certificate = _certificate_of(token)
    record = store.record(cluster.id, _CERTIFICATE, _fingerprint(certificate))
    if record is None:
        raise Unusable(401, "InvalidCertificate", f"The certificate wasn't issued to {cluster.name}.")
    now = clock.now()
    if parse(record["expires"]) <= now:
        raise Unusable(403, "CertificateExpired", f"The certificate of {cluster.name} has expired.")
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)  # noqa: S101 (issued by `issue`, which wants it so)
    try:
        # The times are the emulator's, which the library doesn't know.
        options: Any = {"require": ["exp", "iat", "aud"], "verify_exp": False, "verify_iat": False}
        claims = jwt.decode(token, key, algorithms=["PS256"], audience=audience, options=options)
        begins, ends = float(claims["iat"]), float(claims["exp"])
    except (jwt.InvalidTokenError, TypeError, ValueError) as error:
        raise Unusable(401, "InvalidToken", f"The token doesn't hold: {error}") from None
    leeway, moment = _TOKEN_LEEWAY.total_seconds(), now.timestamp()
    if not begins - leeway <= moment <= ends + leeway:
        raise Unusable(401, "TokenExpired", "The token isn't of this time.")


def _requested_key(request: bytes) -> RSAPublicKey:
    try:
        read = x509.load_der_x509_csr(request)
        is_own = read.is_signature_valid
        key = read.public_key()
    except ValueError:
        raise Unusable(400, "InvalidCertificateRequest", "The certificate request can't be read.") from None
    if not is_own or not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise Unusable(
            400,
            "InvalidCertificateRequest",
            f"The certificate request has to be of an RSA key of at least {_LEAST_BITS} bits, and signed by it.",
        )
    return key


def _seal(store: Store, cluster: Resource, content: str) -> str:
    """Return what shows that a nonce is ours and a cluster's."""
    key = store.setting(_NONCE_KEY)
    if key is None:
        key = secrets.token_hex(32)
        store.set_setting(_NONCE_KEY, key)
    return hmac.new(bytes.fromhex(key), f"{cluster.key}\n{content}".encode(), hashlib.sha256).hexdigest()


def _holds_until(store: Store, cluster: Resource, nonce: str) -> datetime | None:
    """Return until when a nonce holds; None: we didn't give it to this cluster."""
    content, _, seal = nonce.rpartition(".")
    if not hmac.compare_digest(seal.encode(), _seal(store, cluster, content).encode()):
        return None
    return datetime.fromtimestamp(int(content.partition(".")[0]), UTC)


def _forget_expired(store: Store, clock: Clock, cluster: Resource, kind: str) -> int:
    """Forget a cluster's records whose time is over; return how many are left."""
    records, now = store.records(cluster.id, kind), clock.now()
    expired = [key for key, record in records.items() if parse(record["expires"]) <= now]
    for key in expired:
        store.delete_record(cluster.id, kind, key)
    return len(records) - len(expired)


def _issuer_key(store: Store) -> ec.EllipticCurvePrivateKey:
    """Return the key that signs agents' certificates; it is made once, and the store's file is nobody else's."""
    stored_key = store.setting(_ISSUER_KEY)
    if stored_key is not None:
        return certificates.load_key(stored_key)
    key = certificates.new_key()
    store.set_setting(_ISSUER_KEY, certificates.key_pem(key))
    return key


def _certificate_of(token: str) -> x509.Certificate:
    try:
        chain = jwt.get_unverified_header(token).get("x5c")
        if not isinstance(chain, list) or not chain:
            raise ValueError("it names no certificate")
        return x509.load_der_x509_certificate(base64.b64decode(str(chain[0]), validate=True))
    except (jwt.InvalidTokenError, ValueError, binascii.Error, RecursionError) as error:
        raise Unusable(401, "InvalidToken", f"The token can't be read: {error}") from None


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()
