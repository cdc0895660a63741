"""A cluster's identity: its certificate authorities, service-account key and bootstrap token, made here.

Made before any machine is: so every node can check the cluster from its first boot, all boot at once, and the
kubeconfig is known before the API server answers. Names and paths are kubeadm's (kubernetes.io: PKI certificates
and requirements).
"""

from __future__ import annotations

import hashlib
import secrets
import string
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.go_yaml import go_yaml
from infra.kubernetes.kubeconfig import user_of

# As long as kubeadm's own CAs live. Nothing renews a lab's kubeconfig unattended, so it lives as long.
_LIFETIME: Final = timedelta(days=3650)
# A host whose clock is behind would refuse a certificate that begins now.
_CLOCK_SKEW: Final = timedelta(minutes=10)
PKI_FILES: Final = (
    *("ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key"),
    *("front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"),
)
"""What every control plane of a cluster starts from, by path under /etc/kubernetes/pki."""
_TOKEN_ALPHABET: Final = string.ascii_lowercase + string.digits
# kubeadm binds this group to cluster-admin; unlike system:masters, an administrator can take that away again.
_ADMINISTRATORS: Final = "kubeadm:cluster-admins"


@dataclass(frozen=True)
class KeyPair:
    """A certificate with its private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class ClusterPki:
    """What makes a cluster itself.

    Attributes:
        ca: The cluster's authority.
        ca_hash: kubeadm's pin of its public key, `sha256:<hex of the key's SPKI>`.
        token: A bootstrap token, `id.secret`.
        files: Every certificate and key that a control plane starts from, by path under /etc/kubernetes/pki.
    """

    ca: KeyPair
    ca_hash: str
    token: str = field(repr=False)
    files: dict[str, str] = field(repr=False)


def generate_pki() -> ClusterPki:
    """Make a new identity."""
    ca = _authority("kubernetes", ["kubernetes"])
    etcd, front_proxy = _authority("etcd-ca", ["etcd-ca"]), _authority("front-proxy-ca", ["front-proxy-ca"])
    signer = _new_key()
    return ClusterPki(
        ca=ca,
        ca_hash=_pin(ca),
        token=_token(),
        files={
            **_pair("ca", ca),
            **_pair("etcd/ca", etcd),
            **_pair("front-proxy-ca", front_proxy),
            "sa.key": _private_pem(signer),
            "sa.pub": _public_pem(signer),
        },
    )


def restore_pki(files: dict[str, str]) -> ClusterPki:
    """Return the identity of a cluster that stands, from what a control plane of it has.

    The bootstrap token isn't among it: a new one is drawn, which the cluster learns when nodes are to join.

    Args:
        files: As `ClusterPki.files`.

    Raises:
        KeyError: One that every control plane has is missing.
        ValueError: The authority's certificate can't be read.
    """
    ca = KeyPair(files["ca.crt"], files["ca.key"])
    return ClusterPki(ca=ca, ca_hash=_pin(ca), token=_token(), files={name: files[name] for name in PKI_FILES})


def administrator_kubeconfig(name: str, server: str, ca: KeyPair) -> str:
    """Return a kubeconfig of an administrator, its client certificate signed by the cluster's authority.

    Args:
        name: Of the cluster, and of the context.
        server: `https://address:port`.
        ca: The cluster's authority.
    """
    key = _new_key()
    certificate = _sign(
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ADMINISTRATORS),
                x509.NameAttribute(NameOID.COMMON_NAME, "azlocal-administrator"),
            ]
        ),
        key,
        ca,
    )
    return kubeconfig(name, server, ca.certificate, KeyPair(certificate, _private_pem(key)))


def kubeconfig(name: str, server: str, ca_certificate: str, client: KeyPair) -> str:
    """Write a kubeconfig with one cluster, one user and one context, which is the current one."""
    user = user_of(name)
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"server": server, "certificate-authority-data": _base64(ca_certificate)},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _base64(client.certificate),
                    "client-key-data": _base64(client.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return go_yaml(content)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")


def _pair(path: str, pair: KeyPair) -> dict[str, str]:
    return {f"{path}.crt": pair.certificate, f"{path}.key": pair.key}


def _token() -> str:
    """Return a token in the form that Kubernetes asks for: six and sixteen characters."""

    def draw(length: int) -> str:
        return "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(length))

    return f"{draw(6)}.{draw(16)}"


def _pin(ca: KeyPair) -> str:
    public = x509.load_pem_x509_certificate(ca.certificate.encode()).public_key()
    info = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(info).hexdigest()}"


def _authority(common_name: str, dns_names: Iterable[str]) -> KeyPair:
    key, name = _new_key(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in dns_names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(_certificate_pem(certificate), _private_pem(key))


def _sign(subject: x509.Name, key: ec.EllipticCurvePrivateKey, ca: KeyPair) -> str:
    """Sign a client's certificate."""
    issuer = x509.load_pem_x509_certificate(ca.certificate.encode())
    signer = serialization.load_pem_private_key(ca.key.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("a cluster's authority has an elliptic-curve key")
    certificate = (
        _builder(subject, issuer.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return _certificate_pem(certificate)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode("ascii")


def _public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode("ascii")
    )


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
