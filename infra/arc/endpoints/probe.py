"""Look from a node: a small program runs there, where only Python is; what it met comes back as JSON."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from infra.arc.endpoints.table import Endpoint
from infra.arc.errors import ArcError
from infra.arc.model import Proxy
from infra.hosts import endpoint_probe
from infra.ssh import Shell, ShellError

PROGRAM: Final = Path(endpoint_probe.__file__).read_text(encoding="utf-8")
"""What runs on the node: a module that needs nothing but the standard library."""

_STEP_SECONDS: Final = 5.0
_STEPS: Final = 4
_NO_PYTHON: Final = 127


@dataclass(frozen=True)
class Answer:
    """What one endpoint showed.

    Attributes:
        stage: How far it went: dns, tcp or proxy, tls, done.
        error: Why no further; empty when done.
        addresses: The name's; none where a proxy resolves it.
        by_proxy: Whether the proxy was taken.
        version: Of TLS.
        issuer: Who signed the certificate, as far as TLS went: organisation and name.
        untrusted: Whether the node doesn't trust that.
        expires: When the certificate ends.
    """

    stage: str
    error: str = ""
    addresses: tuple[str, ...] = ()
    by_proxy: bool = False
    version: str = ""
    issuer: str = ""
    untrusted: bool = False
    expires: datetime.datetime | None = None


@dataclass(frozen=True)
class Look:
    """One look from one place.

    Attributes:
        place: The node's name.
        time: By its clock.
        answers: For the endpoints that can be asked, in their order.
    """

    place: str
    time: datetime.datetime
    answers: tuple[tuple[Endpoint, Answer], ...]


def look_from(
    shell: Shell, endpoints: Sequence[Endpoint], proxy: Proxy | None, authorities: str = "", place: str = ""
) -> Look:
    """Try every endpoint from where a shell runs, all at once; rules for firewalls among them are left out.

    Args:
        shell: Of the node, or of this machine.
        endpoints: What to try.
        proxy: By which agents go; its certificate is trusted, too.
        authorities: PEM of what agents trust beside that.
        place: What the node is called; the shell's host where empty.

    Raises:
        ArcError: The node can't be asked; the message has no secret.
    """
    tried = [endpoint for endpoint in endpoints if not endpoint.is_pattern]
    report = _run(shell, question(tried, proxy, authorities), place or shell.host)
    return Look(
        place or shell.host,
        datetime.datetime.fromtimestamp(report["time"], datetime.UTC),
        tuple((endpoint, _answer(met)) for endpoint, met in zip(tried, report["answers"], strict=True)),
    )


def question(asked: Sequence[Endpoint], proxy: Proxy | None, authorities: str) -> dict[str, Any]:
    """Return what the program is told; a secret, where a proxy has a password."""
    trusted = [pem for pem in (authorities, proxy.certificate if proxy else "") if pem]
    return {
        "endpoints": [{"name": endpoint.name, "port": endpoint.port} for endpoint in asked],
        "proxy": (proxy.https or proxy.http or None) if proxy else None,
        "direct": list(proxy.no_proxy) if proxy else [],
        "authorities": "\n".join(trusted) or None,
        "seconds": _STEP_SECONDS,
    }


def _run(shell: Shell, wanted: dict[str, Any], place: str) -> dict[str, Any]:
    command = ["python3", "-c", PROGRAM]
    try:
        seconds = (_STEPS + 2) * _STEP_SECONDS
        done = shell.run(command, input=json.dumps(wanted).encode(), timeout=seconds, check=False)
    except ShellError as error:
        # The command's own text would hide the reason.
        reason = str(error).rpartition("`")[2].strip()
        raise ArcError("node-unreachable", f"endpoints can't be tried from {place}: {reason}") from None
    if done.exit_code == _NO_PYTHON:
        raise ArcError("node-python", f"endpoints can't be tried from {place}: python3 isn't installed there")
    if done.exit_code != 0:
        reason = done.stderr.strip().rpartition("\n")[2]  # the last line of Python's traceback
        raise ArcError("node-probe", f"endpoints can't be tried from {place}: {reason}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _answer(met: dict[str, Any]) -> Answer:
    issuer, expires = _signer(str(met.get("certificate") or ""))
    return Answer(
        stage=str(met["stage"]),
        error=str(met.get("error") or ""),
        addresses=tuple(met.get("addresses") or ()),
        by_proxy=bool(met.get("proxy")),
        version=str(met.get("version") or ""),
        issuer=issuer,
        untrusted=bool(met.get("untrusted")),
        expires=expires,
    )


def _signer(certificate: str) -> tuple[str, datetime.datetime | None]:
    """Return who signed a certificate, and when it ends."""
    if not certificate:
        return "", None
    try:
        parsed = x509.load_der_x509_certificate(base64.b64decode(certificate))
    except ValueError:
        return "", None
    oids = (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME)
    parts = [str(attribute.value) for oid in oids for attribute in parsed.issuer.get_attributes_for_oid(oid)]
    return ", ".join(dict.fromkeys(parts)), parsed.not_valid_after_utc
