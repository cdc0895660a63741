"""What the known_hosts files say of one host, and whether a key that it shows is its own.

`ssh-keygen -F` finds the lines, so that patterns, hashed names and ports are as ssh reads them; what follows from
them is what ssh makes of them under StrictHostKeyChecking=yes (sshconnect.c, check_host_key).
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from infra.ssh.errors import HostKeyChanged, HostKeyRevoked, HostKeyUnknown, SshError
from infra.ssh.host_certificate import CERTIFIED, HostCertificate
from infra.ssh.hostkey import fingerprint
from infra.ssh.options import SshOptions, SshTarget, ssh_version

Marker = Literal["", "@cert-authority", "@revoked"]

_FOUND: Final = re.compile(r"# Host .* found: line (\d+)\b")
_MARKERS: Final[dict[str, Marker]] = {"@cert-authority": "@cert-authority", "@revoked": "@revoked"}
_SEARCH_SECONDS: Final = 30
_RSA: Final = "ssh-rsa"
_RSA_SIGNATURES: Final = ("rsa-sha2-512", "rsa-sha2-256")
"""What an RSA key signs with; SHA-1, by which the kind is named, is no longer taken."""


@dataclass(frozen=True)
class KnownKey:
    """A line that speaks of a host.

    Attributes:
        key: The public key, as SSH writes it.
    """

    file: str
    number: int
    marker: Marker
    kind: str
    key: bytes

    @property
    def place(self) -> str:
        """Return where it stands."""
        return f"{self.file}:{self.number}"


def find_keys(files: Iterable[str], name: str) -> list[KnownKey]:
    """Return what known_hosts files say of a name; comments, damaged lines and unknown marks say nothing.

    Args:
        files: those that are missing or can't be read say nothing either.
        name: a host as known_hosts has it: with a port other than 22, `[host]:port`.

    Raises:
        SshError: the ssh-keygen command is missing, or doesn't end.
    """
    return [key for file in files if Path(file).is_file() for key in _parse(file, _search(file, name))]


class KnownHost:
    """A host as the known_hosts files have it."""

    def __init__(self, target: SshTarget, options: SshOptions) -> None:
        """Read the files.

        Raises:
            SshError: they can't be searched.
        """
        self._target, self._options = target, options
        self._own = find_keys(options.known_hosts, options.known_hosts_name)
        # Where a host of that name isn't known at its port, ssh takes what is known of the name alone.
        alone = None if options.key_alias or options.port == 22 else options.hostname
        self._of_name = find_keys(options.known_hosts, alone) if alone else []

    def preferred(self, algorithms: Iterable[str]) -> list[str]:
        """Order what is asked for, so that a host with several keys shows one that can be recognised."""
        known = {kind for line in self._own if not line.marker for kind in _algorithms(line.kind)}
        has_authority = any(line.marker == "@cert-authority" for line in self._lines)

        def rank(algorithm: str) -> int:
            if algorithm.endswith(CERTIFIED):
                return 0 if has_authority else 3
            return 1 if algorithm in known else 2

        return sorted(algorithms, key=rank)

    def require(self, kind: str, key: bytes, certificate: HostCertificate | None, now: float) -> None:
        """Accept the key that a host shows, and has proved to have.

        Args:
            kind: The key's kind, such as `ssh-ed25519`.
            key: The bare key, as SSH writes it.
            certificate: What it showed with the key.
            now: Seconds since 1970.

        Raises:
            HostKeyRevoked: a line says that nobody should trust the key, or who signed it.
            HostKeyChanged: other keys are known of the host, and this isn't one of them.
            HostKeyUnknown: nothing is known of the host.
        """
        for line in self._lines:
            if line.marker == "@revoked" and line.key in (key, certificate and certificate.authority):
                raise HostKeyRevoked(self._revoked(f"{kind} {_fingerprint(key)}", line, line.key == key))
        doubt = ""
        if certificate:
            doubt = self._doubt(certificate, now)
            if not doubt:
                return
        own, of_name = ([line for line in lines if not line.marker] for lines in (self._own, self._of_name))
        expected = own or of_name
        if any(line.key == key for line in expected):
            return
        shown = f"{kind} {_fingerprint(key)}"
        if own:
            alike = [line for line in own if line.kind == kind]
            raise HostKeyChanged(self._changed(shown, (alike or own)[0], doubt))
        raise HostKeyUnknown(self._unknown(shown, doubt))

    @property
    def _lines(self) -> list[KnownKey]:
        return self._own + self._of_name

    def _doubt(self, certificate: HostCertificate, now: float) -> str:
        """Return why a certificate isn't believed; nothing where it is."""
        authorities = (line for line in self._lines if line.marker == "@cert-authority")
        signer = next((line for line in authorities if line.key == certificate.authority), None)
        if signer is None:
            who = _fingerprint(certificate.authority)
            return f"; its certificate is by {who}, of whom no @cert-authority line speaks"
        host = self._options.key_alias or self._options.hostname
        fault = certificate.fault(host, now, self._options.ca_algorithms, ssh_version())
        return f"; its certificate, by the authority of {signer.place}, {fault}" if fault else ""

    def _unknown(self, shown: str, doubt: str) -> str:
        files, name = ", ".join(self._options.known_hosts), self._options.known_hosts_name
        return (
            f"{self._target}: its host key {shown} is in none of {files} (as {name}){doubt}. Compare the "
            f"fingerprint with the host's own, then accept it once by `{self._ssh}`"
        )

    def _changed(self, shown: str, expected: KnownKey, doubt: str) -> str:
        name = self._options.known_hosts_name
        forget = shlex.join(["ssh-keygen", "-R", name, "-f", expected.file])
        return (
            f"{self._target}: its host key is {shown}, but known_hosts has {_fingerprint(expected.key)} for "
            f"{name} ({expected.place}){doubt}. If the host was reinstalled, compare the fingerprint with the "
            f"host's own, then `{forget}` and accept it once by `{self._ssh}`"
        )

    def _revoked(self, shown: str, line: KnownKey, itself: bool) -> str:
        what = "is marked @revoked" if itself else f"is certified by {_fingerprint(line.key)}, marked @revoked"
        return (
            f"{self._target}: its host key {shown} {what} in {line.place}: others may have the private key. "
            "Give the host a new key, or take that line away if it stands there by mistake"
        )

    @property
    def _ssh(self) -> str:
        return f"ssh {shlex.join(self._target.arguments())}"


def _search(file: str, name: str) -> list[str]:
    """Return what ssh-keygen prints: before each line that it finds, one that says where."""
    try:
        done = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", file],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SEARCH_SECONDS,
        )
    except FileNotFoundError as error:
        raise SshError("the ssh-keygen command is missing: install openssh-client") from error
    except subprocess.TimeoutExpired as error:
        raise SshError(f"`ssh-keygen -F` doesn't come to the end of {file}: does it hold known hosts?") from error
    return done.stdout.decode(errors="replace").split("\n")


def _parse(file: str, printed: Sequence[str]) -> Iterable[KnownKey]:
    for announced, line in pairwise(printed):
        if (place := _FOUND.match(announced)) and (known := _known(file, int(place[1]), line)):
            yield known


def _known(file: str, number: int, line: str) -> KnownKey | None:
    words = line.split()
    marker: Marker = ""
    if words and words[0].startswith("@"):
        if words[0] not in _MARKERS:
            return None
        marker = _MARKERS[words.pop(0)]
    try:
        _, kind, text, *_ = words
        key = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    named = len(kind).to_bytes(4, "big") + kind.encode()
    return KnownKey(file, number, marker, kind, key) if key.startswith(named) else None


def _algorithms(kind: str) -> Sequence[str]:
    return _RSA_SIGNATURES if kind == _RSA else (kind,)


def _fingerprint(key: bytes) -> str:
    return fingerprint(f"key {base64.b64encode(key).decode()}")
