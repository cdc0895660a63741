"""Who may call: an authority of this stack's own, a certificate of the server, and one for upstream.

Whoever may call makes and removes nodes, so there is no way to serve without.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from infra.certificates import (
    CLIENT,
    SERVER,
    alternative_names,
    certificate_pem,
    issue,
    key_pem,
    new_key,
    usage,
    x509_name,
)
from infra.files import replace_file

_LIVES: Final = timedelta(days=365)
_RENEWED: Final = timedelta(days=30)
_BEHIND: Final = timedelta(minutes=5)
_NAMES: Final = ("localhost", "127.0.0.1")


def ensure(folder: Path, host: str, now: datetime | None = None) -> None:
    """Have certificates in a folder: ca.crt, server.{crt,key}, client.{crt,key}.

    New ones are made, all together, where they end within a month or aren't for this host.

    Args:
        folder: Where they are.
        host: By which name or address upstream reaches the server.
        now: The time; the present one where absent.
    """
    now = now or datetime.now(UTC)
    names = list(dict.fromkeys([*_NAMES, host]))
    if _are_good(folder / "server.crt", names, now):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    begins, ends = now - _BEHIND, now + _LIVES
    authority, subject = new_key(), x509_name("azlocal autoscaler")
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    signing = usage("key_cert_sign", "crl_sign")
    own = issue(subject, authority.public_key(), subject, authority, begins, ends, constraints, signing)
    for name, use in (("client", CLIENT), ("server", SERVER)):
        key = new_key()
        certificate = issue(
            x509_name(f"azlocal autoscaler {name}"),
            key.public_key(),
            subject,
            authority,
            begins,
            ends,
            x509.BasicConstraints(ca=False, path_length=None),
            usage("digital_signature"),
            use,
            alternative_names(names if name == "server" else [name]),
        )
        replace_file(folder / f"{name}.key", key_pem(key).encode(), mode=0o600)
        replace_file(folder / f"{name}.crt", certificate_pem(certificate).encode(), mode=0o644)
    replace_file(folder / "ca.crt", certificate_pem(own).encode(), mode=0o644)


def _are_good(path: Path, names: list[str], now: datetime) -> bool:
    if not path.is_file():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    listed = {*known.get_values_for_type(x509.DNSName), *map(str, known.get_values_for_type(x509.IPAddress))}
    return certificate.not_valid_after_utc - now > _RENEWED and listed >= {*names}
