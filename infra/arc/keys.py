"""The key pair by which a cluster's agents prove who they are (facts §1.7)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.arc.errors import ArcError

_BITS: Final = 4096
_EXPONENT: Final = 65537
_HEAD: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n")


@dataclass(frozen=True)
class KeyPair:
    """A key pair.

    Attributes:
        public: Base64 of the DER of a PKCS#1 public key, as ARM takes it: no certificate, and not the
            SubjectPublicKeyInfo that most tools write, with which agents crash.
        private: PEM of the PKCS#1 private key, as agents take it. A secret.
    """

    public: str
    private: str = field(repr=False)


def make_key_pair() -> KeyPair:
    """Make a key pair; takes a second or several."""
    return _pair(rsa.generate_private_key(_EXPONENT, _BITS))


def read_key_pair(private: str) -> KeyPair:
    """Return the pair that a private key is half of.

    Raises:
        ArcError: It isn't an RSA key in PEM; the message repeats nothing of it.
    """
    if not _HEAD.match(private):
        raise _mangled()  # the library here forgives it, the agents' doesn't
    try:
        key = serialization.load_pem_private_key(private.encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise _mangled()
    return KeyPair(_pair(key).public, private)


def _mangled() -> ArcError:
    return ArcError(
        "agents-key",
        "the agents' private key in the cluster is no RSA key in PEM (mangled line ends are the usual reason)",
        "disconnect the cluster and connect it again, which makes a new one",
    )


def _pair(key: rsa.RSAPrivateKey) -> KeyPair:
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return KeyPair(base64.b64encode(public).decode("ascii"), private.decode("ascii"))
