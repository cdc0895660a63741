"""How a cluster's agents show who they are: once by the onboarding's private key, then by a certificate."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.arc.emulator.clock import Clock, parse, text
from infra.arc.emulator.connectivity import CERTIFICATE_LIFE, RENEWAL_AFTER
from infra.arc.emulator.store import Resource, Store

_NONCE: Final = "nonce"
_CERTIFICATE: Final = "certificate"
_ISSUER_KEY: Final = "agents.issuerKey"
_NONCE_LIFE: Final = timedelta(minutes=5)
_TOKEN_LEEWAY: Final = timedelta(minutes=1)
_LEAST_BITS: Final = 2048
_BACK: Final = timedelta(minutes=5)  # for clocks of machines that are a little behind
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


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
    """Return a nonce that a cluster can use once, within minutes."""
    now = clock.now()
    for nonce, kept in store.records(cluster.id, _NONCE).items():
        if parse(kept["expires"]) <= now:
            store.delete_record(cluster.id, _NONCE, nonce)
    nonce = secrets.token_urlsafe(32)
    store.put_record(cluster.id, _NONCE, nonce, {"expires": text(now + _NONCE_LIFE)})
    return nonce


def read_request(body: Mapping[str, Any], authorization: str) -> Asked:
    """Read a request for a certificate.

    Raises:
        Unusable: it isn't one.
    """
    scheme, _, signature = authorization.partition(" ")
    try:
        if scheme.lower() != "rsapss":
            raise ValueError(f"authorization scheme {scheme!r}, not rsapss")
        return Asked(
            nonce=str(body["nonce"]),
            request=base64.b64decode(str(body["csr"]), validate=True),
            signature=base64.b64decode(signature, validate=True),
        )
    except (KeyError, ValueError, binascii.Error) as error:
        raise Unusable(400, "InvalidRequestContent", f"This isn't a request for a certificate: {error}") from None


def check_proof(store: Store, clock: Clock, cluster: Resource, asked: Asked) -> None:
    """Check that who asks holds the private key of the cluster's onboarding; the nonce is used up.

    Raises:
        Unusable: it doesn't, or the cluster's public key is of no use.
    """
    key = public_key(str(cluster.properties.get("agentPublicKeyCertificate", "")), cluster.name)
    kept = store.record(cluster.id, _NONCE, asked.nonce)
    store.delete_record(cluster.id, _NONCE, asked.nonce)
    if kept is None or parse(kept["expires"]) <= clock.now():
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

    Raises:
        Unusable: the request is no good.
    """
    key = _requested_key(asked.request)
    now = clock.now()
    expires = now + CERTIFICATE_LIFE
    issuer_key = _issuer_key(store)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(str((cluster.body.get("identity") or {}).get("principalId") or cluster.name)))
        .issuer_name(_name("azlocal emulator: agents"))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACK)
        .not_valid_after(expires)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    store.put_record(cluster.id, _CERTIFICATE, _fingerprint(certificate), {"expires": text(expires)})
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return Issued(pem, expires, now + RENEWAL_AFTER)


def check_token(store: Store, clock: Clock, cluster: Resource, token: str, audience: str) -> None:
    """Check that a token was signed just now, for us, by the key of a certificate that this cluster was given.

    Raises:
        Unusable: it wasn't.
    """
    certificate = _certificate_of(token)
    kept = store.record(cluster.id, _CERTIFICATE, _fingerprint(certificate))
    if kept is None:
        raise Unusable(401, "InvalidCertificate", f"The certificate wasn't issued to {cluster.name}.")
    now = clock.now()
    if parse(kept["expires"]) <= now:
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


def seconds_of(duration: str) -> int:
    """Return the seconds of an ISO 8601 duration without years and months; half an hour where it is none."""
    found = _DURATION.fullmatch(duration)
    if found is None or not any(found.groups()):
        return 1800
    days, hours, minutes, seconds = (int(one or 0) for one in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


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


def _issuer_key(store: Store) -> ec.EllipticCurvePrivateKey:
    """Return the key that signs agents' certificates; it is made once, and the store's file is nobody else's."""
    kept = store.setting(_ISSUER_KEY)
    if kept is not None:
        key = serialization.load_pem_private_key(kept.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 (written below)
        return key
    made = ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    store.set_setting(_ISSUER_KEY, pem.decode())
    return made


def _certificate_of(token: str) -> x509.Certificate:
    try:
        chain = jwt.get_unverified_header(token).get("x5c")
        if not isinstance(chain, list) or not chain:
            raise ValueError("it names no certificate")
        return x509.load_der_x509_certificate(base64.b64decode(str(chain[0]), validate=True))
    except (jwt.InvalidTokenError, ValueError, binascii.Error) as error:
        raise Unusable(401, "InvalidToken", f"The token can't be read: {error}") from None


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
