"""What looks from nodes mean: which endpoint is blocked, where, and who inspects TLS. Pure."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from infra.arc.endpoints.probe import Answer, Look
from infra.arc.endpoints.table import Endpoint
from infra.counting import counted

Status = Literal["ok", "warning", "failed", "skipped"]

_AZURES_SIGNERS: Final = ("microsoft", "digicert", "baltimore")
_INSPECTORS: Final = (
    "zscaler",
    "palo alto",
    "fortinet",
    "fortigate",
    "blue coat",
    "bluecoat",
    "symantec web",
    "netskope",
    "check point",
    "sophos",
    "umbrella",
    "forcepoint",
    "websense",
    "barracuda",
    "mcafee",
    "skyhigh",
    "menlo",
    "iboss",
    "watchguard",
    "sonicwall",
    "squid",
    "mitmproxy",
    "burp",
)
_SKEW: Final = datetime.timedelta(minutes=5)
_SOON: Final = datetime.timedelta(days=7)
_PATTERN: Final = "a rule for firewalls: its names are only known as they are used"


@dataclass(frozen=True)
class Finding:
    """What one endpoint is like from one node.

    Attributes:
        place: The node; empty for what concerns none.
        endpoint: None for the node's clock.
        seen: What was seen.
        remedy: What to do; empty when there is nothing to do.
    """

    place: str
    endpoint: Endpoint | None
    status: Status
    seen: str
    remedy: str = ""
    answer: Answer | None = None


def judge(
    endpoints: Sequence[Endpoint], looks: Sequence[Look], now: datetime.datetime, *, private_link: bool = False
) -> list[Finding]:
    """Return a finding for each endpoint and node, and for each node's clock.

    Args:
        endpoints: All of them, rules for firewalls, too.
        looks: What nodes saw.
        now: By the clock that counts.
        private_link: Whether Arc's own names should have private addresses.
    """
    findings = [
        _finding(look.place, endpoint, answer, now, private_link=private_link)
        for look in looks
        for endpoint, answer in look.answers
    ]
    findings += [Finding("", endpoint, "skipped", _PATTERN) for endpoint in endpoints if endpoint.is_pattern]
    return [*findings, *(finding for look in looks for finding in _clock(look, now))]


def _finding(
    place: str, endpoint: Endpoint, answer: Answer, now: datetime.datetime, *, private_link: bool
) -> Finding:
    def say(status: Status, seen: str, remedy: str = "") -> Finding:
        # Without an optional endpoint a feature fails, not the connection.
        effective: Status = "warning" if status == "failed" and not endpoint.is_required else status
        return Finding(place, endpoint, effective, seen, remedy, answer)

    match answer.stage:
        case "dns":
            return say("failed", f"DNS: {answer.error}", f"let the node's DNS server resolve {endpoint.name}")
        case "tcp":
            at = f" ({', '.join(answer.addresses)})" if answer.addresses else ""
            return say("failed", f"TCP{at}: {answer.error}", f"open TCP {endpoint.port} to {endpoint.name}")
        case "proxy":
            return say(
                "failed", f"proxy: {answer.error}", f"let the proxy pass CONNECT {endpoint.name}:{endpoint.port}"
            )
        case "tls" if answer.untrusted:
            return say("failed", *_untrusted(endpoint, answer))
        case "tls":
            return say(
                "failed", f"TLS: {answer.error}", f"something between cuts TLS off: let {endpoint.name} pass"
            )
    if endpoint.is_azures and not _is_azures(answer.issuer):
        return say(
            "warning",
            f"{_inspector(answer.issuer)} inspects TLS: it signed the certificate ({answer.issuer}), which the "
            "node trusts",
            f"exempt {endpoint.name} from inspection, or give agents its CA (proxyCaFile)",
        )
    if private_link and _is_arcs(endpoint) and not _are_private(answer.addresses):
        return say(
            "warning",
            f"resolves to {', '.join(answer.addresses)}, which isn't the private endpoint's address",
            "let the node's DNS server use the private link's zones",
        )
    if answer.expires is not None and answer.expires - now < _SOON:
        return say(
            "warning", f"its certificate ends on {answer.expires:%Y-%m-%d}", "renew it, or see the node's clock"
        )
    way = "by the proxy" if answer.by_proxy else ", ".join(answer.addresses[:2])
    return say("ok", f"{way}, {answer.version}, signed by {answer.issuer}")


def _untrusted(endpoint: Endpoint, answer: Answer) -> tuple[str, str]:
    signer = answer.issuer or "somebody unknown"
    if endpoint.is_azures and not _is_azures(answer.issuer):
        return (
            f"{_inspector(answer.issuer)} inspects TLS: the certificate is signed by {signer}, whom the node "
            f"doesn't trust ({answer.error})",
            f"give agents its CA (proxyCaFile), or exempt {endpoint.name} from inspection",
        )
    return (
        f"the certificate, signed by {signer}, isn't trusted: {answer.error}",
        "name the CA (caFile or proxyCaFile), and check the node's clock",
    )


def _inspector(issuer: str) -> str:
    lowered = issuer.lower()
    known = any(name in lowered for name in _INSPECTORS)
    return issuer.partition(", ")[0] if known else "something between the node and Azure"


def _is_azures(issuer: str) -> bool:
    return any(signer in issuer.lower() for signer in _AZURES_SIGNERS)


def _is_arcs(endpoint: Endpoint) -> bool:
    return ".his.arc." in f".{endpoint.name}" or ".dp.kubernetesconfiguration." in endpoint.name


def _are_private(addresses: Sequence[str]) -> bool:
    return bool(addresses) and all(ipaddress.ip_address(address).is_private for address in addresses)


def _clock(look: Look, now: datetime.datetime) -> Iterator[Finding]:
    ahead = look.time - now
    if abs(ahead) > _SKEW:
        minutes = round(ahead.total_seconds() / 60)
        yield Finding(
            look.place,
            None,
            "failed",
            f"its clock is {counted(abs(minutes), 'minute')} {'ahead' if minutes > 0 else 'behind'}",
            "let it keep time (NTP): Azure gives agents with a wrong clock no identity",
        )
