"""clusteridentityoperator: proves that the cluster holds the private key, and keeps its certificate fresh."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from . import clock, credential, kube
from .clock import Clock
from .errors import AgentError, FatalError, Refused
from .settings import Settings
from .wire import Wire

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

log = logging.getLogger("agent")

KEY_SECRET = "azure-arc-connect-privatekey"  # noqa: S105 (a name)
_KEY_FIELD = "privateKey"
_KEY_MARK = "azlocal.io/onboarding-key"  # tells a certificate of an earlier onboarding from this one's
_KEY_BITS = 2048
_LEAST_LINES = 3  # its head, what it says, its end
_LOOK_SECONDS = 10.0
_VERSION = "1.1-preview"


class IdentityOperator:
    """Asks for a certificate when there is none, when the key is another, and when it is time to renew it."""

    def __init__(self, settings: Settings, api: kube.Api, wire: Wire, time: Clock) -> None:
        self._settings = settings
        self._api = api
        self._wire = wire
        self._clock = time

    def step(self) -> float:
        """Look once; return the seconds until the next look."""
        namespace = self._settings.namespace
        key = self._key(namespace)
        mark = _mark(key)
        service = self._discover()
        found = self._api.find(kube.secret_path(namespace, credential.SECRET))
        if found is not None and _annotation(found) == mark:
            identity = credential.from_secret(found)
            if self._clock.now() < identity.renew_after:
                return _LOOK_SECONDS
        identity = self._ask(service, key)
        content = credential.to_secret(identity, namespace, {_KEY_MARK: mark})
        self._api.apply(kube.secret_path(namespace, credential.SECRET), content)
        log.info("got a certificate, valid until %s", clock.write(identity.expires))
        return _LOOK_SECONDS

    def _key(self, namespace: str) -> RSAPrivateKey:
        found = self._api.find(kube.secret_path(namespace, KEY_SECRET))
        if found is None:
            raise AgentError(f'secret "{KEY_SECRET}" not found in {namespace}: who onboards the cluster makes it')
        return parse_key(kube.secret_content(found).get(_KEY_FIELD, b""))

    def _discover(self) -> str:
        answer = self._wire.send("GET", self._settings.identity_discovery)
        self._clock.learn(answer.headers)
        endpoint = answer.content.get("endpoint") if isinstance(answer.content, dict) else None
        if not isinstance(endpoint, str) or not endpoint.startswith("https://"):
            raise AgentError(f"the identity service's discovery names no https endpoint: {endpoint!r}")
        return endpoint.rstrip("/")

    def _ask(self, service: str, key: RSAPrivateKey) -> credential.Identity:
        resource = quote(self._settings.cluster_id, safe="")
        challenge = self._wire.send("POST", f"{service}/challenge?id={resource}&api-version={_VERSION}", {})
        nonce = str(challenge.content["nonce"])
        own_key, request = _certificate_request(self._settings.cluster)
        body = {"nonce": nonce, "csr": base64.b64encode(request).decode()}
        signature = base64.b64encode(credential.sign(key, credential.proof(nonce, request), salt=32)).decode()
        url = f"{service}/type/ConnectedClusters/identity?id={resource}&api-version={_VERSION}"
        try:
            answer = self._wire.send("POST", url, body, headers={"Authorization": f"rsapss {signature}"})
        except Refused as error:
            if error.code == "InvalidPublicKey":
                raise FatalError(str(error)) from None
            raise
        said: dict[str, Any] = answer.content
        return credential.Identity(
            pem=own_key + str(said["certificate"]).encode(),
            client_id=str(said["clientId"]),
            expires=clock.read(said["notAfter"]),
            renew_after=clock.read(said["renewAfter"]),
        )


def parse_key(pem: bytes) -> RSAPrivateKey:
    """Read the cluster's private key.

    Raises:
        FatalError: it isn't one.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    lines = pem.split(b"\n")
    try:
        # Some parsers make do without line breaks; Azure's agents don't.
        if not lines[0].strip().endswith(b"PRIVATE KEY-----") or len(lines) < _LEAST_LINES:
            raise ValueError("no PEM block")
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):  # its reason may quote the key
        raise FatalError(
            f"failing to parse PEM block: {_KEY_FIELD} of secret {KEY_SECRET} is no private key in PEM form "
            f"({len(pem)} bytes in {len(lines)} lines): are its line breaks lost?"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise FatalError(f"{_KEY_FIELD} of secret {KEY_SECRET} is no RSA key")
    return key


def _mark(key: RSAPrivateKey) -> str:
    numbers = key.public_key().public_numbers()
    return hashlib.sha256(json.dumps([numbers.n, numbers.e]).encode()).hexdigest()


def _annotation(found: kube.Object) -> str:
    return str((found["metadata"].get("annotations") or {}).get(_KEY_MARK, ""))


def _certificate_request(cluster: str) -> tuple[bytes, bytes]:
    """Make a key pair of the certificate's own; return it as PEM, and the request as DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(65537, _KEY_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cluster[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return pem, request.public_bytes(serialization.Encoding.DER)
