"""Keys and certificates (X.509) that azlocal makes: for clusters, for the emulator of Azure and for its agents.

What runs in a cluster apart from infra (emulator/agent) makes its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])

_CRITICAL: Final = (x509.BasicConstraints, x509.KeyUsage)
_USAGES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True)
class KeyPair:
    """A certificate with its private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key on the curve P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """Return the key that `new_key` made.

    Raises:
        TypeError: It is another kind of key.
        ValueError: It can't be read.
    """
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("an authority has an elliptic-curve key")
    return key


def key_pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
) -> str:
    """Return a private key as PEM, not encrypted."""
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode("ascii")


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def x509_name(common: str, organisation: str | None = None) -> x509.Name:
    """Return a subject's name."""
    first = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    return x509.Name([*first, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def usage(*uses: str) -> x509.KeyUsage:
    """Return what a key is for, by the names of RFC 5280 as Python writes them: `key_cert_sign` …"""
    return x509.KeyUsage(**{use: use in uses for use in _USAGES})


def alternative_names(addresses: Iterable[str]) -> x509.SubjectAlternativeName:
    """Return the IP addresses and DNS names that a server is reached by."""
    return x509.SubjectAlternativeName([_general_name(address) for address in addresses])


def issue(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    begins: datetime,
    ends: datetime,
    *extensions: x509.ExtensionType,
) -> x509.Certificate:
    """Sign a certificate.

    Args:
        subject: Whose it is.
        key: The subject's.
        issuer: Who signs; an authority's own certificate names its subject.
        signer: The issuer's key.
        begins: Some minutes ago at least: a machine whose clock is behind refuses what begins now.
        ends: When it ends.
        extensions: BasicConstraints and KeyUsage are made critical (RFC 5280, 4.2.1).
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, _CRITICAL))
    return builder.sign(signer, hashes.SHA256())


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)
