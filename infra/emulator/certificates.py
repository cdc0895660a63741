"""The emulator's certificates: a CA of its own, made once, and a server certificate for the addresses it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.certificates import (
    SERVER,
    alternative_names,
    certificate_pem,
    issue,
    key_pem,
    load_key,
    new_key,
    usage,
    x509_name,
)

_CA_LIFE: Final = timedelta(days=3650)
_SERVER_LIFE: Final = timedelta(days=397)
_RENEW_BEFORE: Final = timedelta(days=30)
_SKEW: Final = timedelta(days=1)


def make_ca() -> tuple[str, str]:
    """Return a new CA's certificate and key, as PEM."""
    key, subject, now = new_key(), x509_name("azlocal emulator CA (not Azure)"), datetime.now(UTC)
    certificate = issue(
        subject,
        key.public_key(),
        subject,
        key,
        now - _SKEW,
        now + _CA_LIFE,
        x509.BasicConstraints(ca=True, path_length=0),
        usage("key_cert_sign", "crl_sign"),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
    )
    return certificate_pem(certificate), key_pem(key)


def make_server_certificate(ca_pem: str, ca_key_pem: str, addresses: list[str]) -> tuple[str, str]:
    """Return a new server certificate (with the CA's behind it) and its key, as PEM.

    Args:
        addresses: IP addresses and names that clients reach the server by.
    """
    ca, key, now = x509.load_pem_x509_certificate(ca_pem.encode()), new_key(), datetime.now(UTC)
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = issue(
        x509_name("azlocal emulator"),
        key.public_key(),
        ca.subject,
        load_key(ca_key_pem),
        now - _SKEW,
        now + _SERVER_LIFE,
        x509.BasicConstraints(ca=False, path_length=None),
        usage("digital_signature"),
        SERVER,
        alternative_names(addresses),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
    )
    return certificate_pem(certificate) + ca_pem, key_pem(key)


def serves(certificate_pem: str, addresses: list[str]) -> bool:
    """Return whether a server certificate is for exactly these addresses and lasts a while."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    lasts = certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE
    return lasts and {str(name.value) for name in names} == set(addresses)


def make_token_key() -> str:
    """Return a new key that access tokens are signed with, as PEM."""
    return key_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def load_token_key(pem: str) -> rsa.RSAPrivateKey:
    """Return the key that `make_token_key` wrote.

    Raises:
        TypeError: it is something else.
    """
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the tokens' key isn't the kind that make_token_key makes")
    return key
