"""When the certificates of a cluster's API servers end: read from their TLS handshakes, judged purely.

kubeadm signs all of a control plane's certificates at once, so its API server's tells of etcd's and the
controllers', too. Kubelets renew their own.
"""

from __future__ import annotations

import socket
import ssl
from base64 import b64decode
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import yaml

from infra.go_yaml import go_yaml
from infra.guest import API_PORT

if TYPE_CHECKING:
    from cryptography import x509

RENEWED_BEFORE: Final = timedelta(days=90)
"""Certificates that end within this are renewed by the next `up`."""

_SECONDS: Final = 2.0


def due(ends: Mapping[str, datetime], now: datetime) -> list[str]:
    """Return whose certificates have to be renewed, what ends first at the head. Pure."""
    return sorted((name for name, end in ends.items() if is_due(end, now)), key=lambda name: (ends[name], name))


def is_due(end: datetime, now: datetime) -> bool:
    """Return whether what ends then has to be renewed now, or has ended. Pure."""
    return end - now < RENEWED_BEFORE


def earliest(known: datetime | None, seen: Mapping[str, datetime], expected: Collection[str]) -> datetime | None:
    """Return when a cluster's first certificate ends. Pure.

    Args:
        known: What was known before, which stands where somebody doesn't answer now.
        seen: By control plane that answered.
        expected: All control planes.
    """
    if not seen:
        return known
    first = min(seen.values())
    return first if known is None or set(expected) <= seen.keys() else min(first, known)


def ends_of(addresses: Mapping[str, str], authority: str, port: int = API_PORT) -> dict[str, datetime]:
    """Ask all API servers at once; return when the certificate ends of each that answers.

    What has ended answers, too. What another authority signed doesn't count.

    Args:
        addresses: By control plane, its own address.
        authority: The cluster's certificate, PEM.
        port: Where they listen.
    """
    if not addresses:
        return {}
    with ThreadPoolExecutor(len(addresses)) as pool:
        ends = pool.map(lambda address: _end_of(address, port, authority), addresses.values())
        return {name: end for name, end in zip(addresses, ends, strict=True) if end is not None}


def authority_of(kubeconfig: str) -> str:
    """Return the certificate, PEM, that a kubeconfig's first cluster is checked by."""
    (cluster, *_) = yaml.safe_load(kubeconfig)["clusters"]
    return b64decode(cluster["cluster"]["certificate-authority-data"]).decode()


def at_server(kubeconfig: str, address: str, port: int = API_PORT) -> str:
    """Return a kubeconfig that asks one API server of the cluster, at its own address."""
    content = yaml.safe_load(kubeconfig)
    for cluster in content["clusters"]:
        cluster["cluster"]["server"] = f"https://{address}:{port}"
    return go_yaml(content)


def served_end(address: str, port: int = API_PORT, seconds: float = _SECONDS) -> datetime | None:
    """Return when the certificate ends that is served there, whoever signed it; None where nobody speaks TLS."""
    served = _served(address, port, seconds)
    return _certificate(served).not_valid_after_utc if served else None


def written_end(text: str, authority: str) -> datetime | None:
    """Return when a certificate, PEM, ends; None where it is none, or another authority signed it. Pure."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        return None
    return certificate.not_valid_after_utc if _is_signed(certificate, authority) else None


def _end_of(address: str, port: int, authority: str) -> datetime | None:
    served = _served(address, port, _SECONDS)
    if served is None:
        return None
    certificate = _certificate(served)
    return certificate.not_valid_after_utc if _is_signed(certificate, authority) else None


def _is_signed(certificate: x509.Certificate, authority: str) -> bool:
    # A tenth of a second, which a run that has nothing to look at needn't pay.
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _served(address: str, port: int, seconds: float) -> bytes | None:
    """Return the certificate that is served there, DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is told here, and what has ended is to be seen.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), timeout=seconds) as plain,
            context.wrap_socket(plain) as secured,
        ):
            return secured.getpeercert(binary_form=True)
    except OSError:
        return None


def _certificate(der: bytes) -> x509.Certificate:
    from cryptography import x509

    return x509.load_der_x509_certificate(der)
