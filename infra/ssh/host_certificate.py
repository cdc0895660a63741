"""A certificate that an SSH server shows in place of its bare host key.

The format is OpenSSH's PROTOCOL.certkeys; what makes one good is what ssh asks of it (sshkey.c,
sshkey_cert_check_host).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import paramiko
from paramiko.pkey import UnknownKeyType

CERTIFIED: Final = "-cert-v01@openssh.com"
"""How the names of certified kinds of keys end."""

_HOST: Final = 2
"""The type of a host's certificate; a user's is 1."""

_KEY_FIELDS: Final = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
}
_NAMES_ARE_PATTERNS: Final = (10, 3)
"""The OpenSSH that first takes names for patterns; for those before, a certificate without names is for all."""

_LAST_SECOND: Final = 253_402_300_799
"""The end of the year 9999, the last that a date can name."""


@dataclass(frozen=True)
class HostCertificate:
    """What an authority vouches for.

    Attributes:
        key: The host's bare key, as SSH writes public keys.
        authority: The key of whoever signed it, written the same way.
        principals: The hosts that it is for.
        valid_after: Seconds since 1970 at which it begins.
        valid_before: Seconds since 1970 at which it has ended.
        critical: Options of which none is defined for hosts.
        signed: What the signature is of.
    """

    key: bytes
    authority: bytes
    type: int
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical: bytes
    signed: bytes
    signature: bytes

    @property
    def signature_kind(self) -> str:
        """Return the algorithm of the signature."""
        return _Wire(self.signature).text()

    def fault(self, host: str, now: float, algorithms: Sequence[str], version: tuple[int, int]) -> str | None:
        """Return why it doesn't vouch for a host; None where it does.

        Args:
            host: The host's name or address as ssh was told it, or its HostKeyAlias; never with a port.
            now: Seconds since 1970.
            algorithms: The signatures that count (CASignatureAlgorithms).
            version: Of OpenSSH; what it makes of a certificate's names depends on it.
        """
        if self.signature_kind not in algorithms:
            return f"is signed by {self.signature_kind}, which CASignatureAlgorithms leaves out"
        if not self._is_signed():
            return "isn't signed by the authority that it names"
        if self.type != _HOST:
            return "is a user's, not a host's"
        if now < self.valid_after:
            return f"isn't valid before {_date(self.valid_after)}"
        if now >= self.valid_before:
            return f"has ended on {_date(self.valid_before)}"
        if not self._names(host, version):
            return f"is for {', '.join(self.principals) or 'nobody'}, not for {host}"
        return "has critical options, of which none is known for hosts" if self.critical else None

    def _names(self, host: str, version: tuple[int, int]) -> bool:
        if version < _NAMES_ARE_PATTERNS:
            return not self.principals or host in self.principals
        return any(_pattern(principal).fullmatch(host) for principal in self.principals)

    def _is_signed(self) -> bool:
        try:
            authority = paramiko.PKey.from_type_string(_Wire(self.authority).text(), self.authority)
            return authority.verify_ssh_sig(self.signed, paramiko.Message(self.signature))
        except (UnknownKeyType, paramiko.SSHException, ValueError):
            return False


def parse_certificate(data: bytes) -> HostCertificate:
    """Read a certificate; nothing of it is checked.

    Raises:
        ValueError: it isn't one, or is damaged.
    """
    wire = _Wire(data)
    kind = wire.text()
    plain = kind.removesuffix(CERTIFIED)
    if plain == kind or plain not in _KEY_FIELDS:
        raise ValueError(f"the host's certificate is of an unknown kind: {kind[:80]!r}")
    wire.string()  # a nonce
    numbers = b"".join(_written(wire.string()) for _ in range(_KEY_FIELDS[plain]))
    wire.number(8)  # a serial number
    type = wire.number(4)
    wire.string()  # a name for logs
    names = _Wire(wire.string())
    principals: list[str] = []
    while names.left:
        principals.append(names.text())
    after, before = wire.number(8), wire.number(8)
    critical = wire.string()
    wire.string()  # extensions, which may be ignored
    wire.string()  # reserved
    authority = wire.string()
    signed = data[: len(data) - wire.left]
    signature = wire.string()
    if wire.left:
        raise ValueError("the host's certificate has something behind it")
    key = _written(plain.encode()) + numbers
    return HostCertificate(key, authority, type, tuple(principals), after, before, critical, signed, signature)


class _Wire:
    """Reads what SSH writes (RFC 4251, section 5)."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def string(self) -> bytes:
        return self._take(self.number(4))

    def text(self) -> str:
        return self.string().decode(errors="backslashreplace")

    def _take(self, count: int) -> bytes:
        if count > self.left:
            raise ValueError("the host's certificate is cut off")
        self._at += count
        return self._data[self._at - count : self._at]


def _pattern(principal: str) -> re.Pattern[str]:
    """Return what matches as OpenSSH's match_pattern() does."""
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(character) or re.escape(character) for character in principal), re.DOTALL)


def _written(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(min(seconds, _LAST_SECOND), UTC):%Y-%m-%d %H:%M} UTC"
