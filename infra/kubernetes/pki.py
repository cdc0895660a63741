"""A cluster's identity: its authorities, service-account key, encryption key and bootstrap token, made here.

Made before any machine is: so every node can check the cluster from its first boot, all boot at once, and the
kubeconfig is known before the API server answers. Names and paths are kubeadm's (kubernetes.io: PKI certificates
and requirements).
"""

from __future__ import annotations

import hashlib
import secrets
import string
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from infra.certificates import (
    CLIENT,
    KeyPair,
    alternative_names,
    certificate_pem,
    issue,
    key_pem,
    load_key,
    new_key,
    usage,
    x509_name,
)
from infra.go_yaml import go_yaml
from infra.kubernetes.kubeconfig import user_of
from infra.model.encryption_keys import new_encryption_key

# As long as kubeadm's own CAs live. Nothing renews a lab's kubeconfig unattended, so it lives as long.
_LIFETIME: Final = timedelta(days=3650)
# A host whose clock is behind would refuse a certificate that begins now.
_CLOCK_SKEW: Final = timedelta(minutes=10)
PKI_FILES: Final = (
    *("ca.crt", "ca.key", "etcd/ca.crt", "etcd/ca.key"),
    *("front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"),
)
"""What every control plane of a cluster starts from, by path under /etc/kubernetes/pki."""
# Of the service-account key; kubeadm's has as many.
_SIGNER_BITS: Final = 2048
_TOKEN_ALPHABET: Final = string.ascii_lowercase + string.digits
# kubeadm binds this group to cluster-admin; unlike system:masters, an administrator can take that away again.
_ADMINISTRATORS: Final = "kubeadm:cluster-admins"


@dataclass(frozen=True)
class ClusterPki:
    """What makes a cluster itself.

    Attributes:
        ca: The cluster's authority.
        ca_hash: kubeadm's pin of its public key, `sha256:<hex of the key's SPKI>`.
        token: A bootstrap token, `id.secret`.
        files: Every certificate and key that a control plane starts from, by path under /etc/kubernetes/pki.
        encryption_keys: Of Secrets in etcd, 32 bytes each in base64, the one in use first; none: they aren't
            encrypted there.
    """

    ca: KeyPair
    ca_hash: str
    token: str = field(repr=False)
    files: dict[str, str] = field(repr=False)
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)


def generate_pki() -> ClusterPki:
    """Make a new identity."""
    ca = _authority("kubernetes")
    etcd, front_proxy = _authority("etcd-ca"), _authority("front-proxy-ca")
    # Microsoft Entra exchanges tokens of pods only where RSA signs them (RS256), as kubeadm's own key does, too.
    signer = rsa.generate_private_key(public_exponent=65537, key_size=_SIGNER_BITS)
    return ClusterPki(
        ca=ca,
        ca_hash=pin_of(ca.certificate),
        token=_token(),
        files={
            **_pair("ca", ca),
            **_pair("etcd/ca", etcd),
            **_pair("front-proxy-ca", front_proxy),
            "sa.key": _private_pem(signer),
            "sa.pub": _public_pem(signer),
        },
        encryption_keys=(new_encryption_key(),),
    )


def restore_pki(files: dict[str, str], encryption_keys: tuple[str, ...] = ()) -> ClusterPki:
    """Return the identity of a cluster that stands, from what a control plane of it has.

    The bootstrap token isn't among it: a new one is drawn, which the cluster learns when nodes are to join.

    Args:
        files: As `ClusterPki.files`.
        encryption_keys: As `ClusterPki.encryption_keys`.

    Raises:
        KeyError: One that every control plane has is missing.
        ValueError: The authority's certificate can't be read.
    """
    ca = KeyPair(files["ca.crt"], files["ca.key"])
    required = {name: files[name] for name in PKI_FILES}
    return ClusterPki(
        ca=ca, ca_hash=pin_of(ca.certificate), token=_token(), files=required, encryption_keys=encryption_keys
    )


def administrator_kubeconfig(name: str, server: str, ca: KeyPair) -> str:
    """Return a kubeconfig of an administrator, its client certificate signed by the cluster's authority.

    Args:
        name: Of the cluster, and of the context.
        server: `https://address:port`.
        ca: The cluster's authority.
    """
    key = new_key()
    certificate = _issue(
        x509_name("azlocal-administrator", _ADMINISTRATORS),
        key,
        x509.load_pem_x509_certificate(ca.certificate.encode()).subject,
        load_key(ca.key),
        x509.BasicConstraints(ca=False, path_length=None),
        CLIENT,
    )
    return kubeconfig(name, server, ca.certificate, KeyPair(certificate, _private_pem(key)))


def etcd_client(keys: dict[str, str]) -> KeyPair:
    """Return a certificate of a client of a cluster's etcd, signed by etcd's own authority.

    Args:
        keys: As `ClusterPki.files`.
    """
    key = new_key()
    certificate = _issue(
        x509_name("azlocal"),
        key,
        x509.load_pem_x509_certificate(keys["etcd/ca.crt"].encode()).subject,
        load_key(keys["etcd/ca.key"]),
        x509.BasicConstraints(ca=False, path_length=None),
        CLIENT,
    )
    return KeyPair(certificate, _private_pem(key))


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


def pin_of(certificate: str) -> str:
    """Return kubeadm's pin of an authority, whose certificate this is, PEM."""
    public = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    info = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(info).hexdigest()}"


def _authority(common_name: str) -> KeyPair:
    key, subject = new_key(), x509_name(common_name)
    certificate = _issue(
        subject,
        key,
        subject,
        key,
        x509.BasicConstraints(ca=True, path_length=None),
        usage("digital_signature", "key_encipherment", "key_cert_sign"),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        alternative_names([common_name]),
    )
    return KeyPair(certificate, _private_pem(key))


def _issue(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
) -> str:
    now = datetime.now(UTC)
    return certificate_pem(
        issue(subject, key.public_key(), issuer, signer, now - _CLOCK_SKEW, now + _LIFETIME, *extensions)
    )


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key_pem(key, serialization.PrivateFormat.TraditionalOpenSSL)  # as kubeadm writes it


def _public_pem(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode("ascii")
    )
