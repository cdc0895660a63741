"""kube-aad-proxy: keeps the certificate that cluster connect's requests would meet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from . import clock, kube
from .settings import Settings

SECRET = "kube-aad-proxy-certificate"  # noqa: S105 (a name)
_EXPIRES = "azlocal.io/expires"
_VALID = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
_LOOK_SECONDS = 60.0


class AadProxy:
    """Makes the certificate where it is missing or ends soon."""

    def __init__(self, settings: Settings, api: kube.Api) -> None:
        self._settings = settings
        self._api = api

    def step(self) -> float:
        """Look once; return the seconds until the next look."""
        namespace, now = self._settings.namespace, datetime.now(UTC)
        path = kube.secret_path(namespace, SECRET)
        found = self._api.find(path)
        expires = ((found or {}).get("metadata", {}).get("annotations") or {}).get(_EXPIRES)
        if expires is None or clock.read(expires) < now + _RENEW_BEFORE:
            certificate, key = self_signed(f"kube-aad-proxy.{namespace}", now)
            meta = {
                **kube.metadata(SECRET, namespace),
                "annotations": {_EXPIRES: clock.write(now + _VALID)},
            }
            self._api.apply(path, kube.secret(meta, {"tls.crt": certificate, "tls.key": key}))
        return _LOOK_SECONDS


def self_signed(name: str, now: datetime) -> tuple[bytes, bytes]:
    """Return a certificate that vouches for itself, and its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
