"""SSH public keys as people give them: the text of a key, or the path of a file that holds it.

A key is what `ssh-keygen -l` takes for one and sshd lets somebody in by (sshkey.c: `sshkey_read`,
`sshkey_from_blob`, `sshkey_check_rsa_length`). cryptography parses it, and is imported only where there is one.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from infra.spec.findings import Finding, SpecError, shown
from infra.spec.types import fault

_MAX_BYTES = 64 * 1024
_KEY_TYPES: Final = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_CERTIFICATE: Final = "-cert-v01@openssh.com"
_LIKE_A_TYPE: Final = ("ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-")
_QUOTES: Final = ("'", '"')
_LIKE_A_BLOB: Final = "AAAA"  # the length of the type's name, which begins every key, in base64
_RSA_BITS: Final = (1024, 16_384)  # sshkey.h: SSH_RSA_MINIMUM_MODULUS_SIZE; sshbuf.h: SSHBUF_MAX_BIGNUM
_FINGERPRINT: Final = re.compile(r"([0-9]+ )?(SHA256:|MD5:|([0-9a-f]{2}:){15}[0-9a-f]{2})")
_REMEDY = "give the text of a .pub file (`ssh-ed25519 AAAA… you@host`), or its path"


def is_public_key(text: str) -> bool:
    """Tell whether the text is one OpenSSH public key."""
    return key_fault(text) is None


def key_fault(text: str) -> str | None:
    """Return why a text is no public key that sshd lets somebody in by; None if it is one."""
    parts = text.split(None, 2)
    if len(parts) < 2 or not text.replace("\t", " ").isprintable():
        return "is no public key: a type and a key in one line"
    kind, blob = parts[0], parts[1]
    if kind.endswith(_CERTIFICATE):
        return "is a certificate; give the key that it certifies"
    if kind == "ssh-dss":
        return "is a DSA key, by which OpenSSH lets nobody in (since 7.0)"
    if kind not in _KEY_TYPES:
        return f"has {shown(kind)} for a type, which OpenSSH doesn't know"
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return "is damaged or cut off: it isn't base64"
    if base64.b64encode(data).decode() != blob:
        return "is damaged or cut off: its last character is none that base64 ends with"
    length = int.from_bytes(data[:4], "big")
    inner = data[4 : 4 + length]
    if length > len(data) - 4:
        return "is damaged or cut off"
    if inner != kind.encode():
        return f"says {kind}, and the key itself says {shown(inner.decode(errors='replace'))}"
    return _parsed_fault(f"{kind} {blob}")


def _parsed_fault(text: str) -> str | None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        key = load_ssh_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        return "is damaged or cut off"
    if isinstance(key, RSAPublicKey) and not _RSA_BITS[0] <= key.key_size <= _RSA_BITS[1]:
        return f"is an RSA key of {key.key_size} bits; OpenSSH takes {_RSA_BITS[0]}-{_RSA_BITS[1]}"
    return None


def check_public_key(text: str) -> str:
    """Accept a key or something that can be a path; never repeat what may be a private key."""
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        raise fault("private-ssh-key", "this is a private key", f"remove it from the file at once; {_REMEDY}")
    text = text.strip()
    if text[:1] in _QUOTES and text[-1:] == text[0] and is_public_key(text[1:-1]):
        raise fault(
            "bad-ssh-key", f"{shown(text)} has quotes of its own", "write one pair of quotes around the key"
        )
    if "PUBLIC KEY" in text:
        remedy = "convert it with `ssh-keygen -i -f FILE` (`-m PKCS8` where it begins with BEGIN PUBLIC KEY)"
        raise fault("bad-ssh-key", "this is a key in another form than OpenSSH's", remedy)
    if "\n" in text or "\r" in text:
        raise fault("bad-ssh-key", f"{shown(text)} has several lines", "write one key an entry of the list")
    if not text or not text.replace("\t", " ").isprintable():
        raise fault("bad-ssh-key", f"{shown(text)} is no public key", _REMEDY)
    words = text.split()
    if text.startswith("#"):
        raise fault("bad-ssh-key", f"{shown(text)} is a comment, and no key", _REMEDY)
    if _FINGERPRINT.match(text):
        raise fault("bad-ssh-key", f"{shown(text)} is a key's fingerprint, by which nobody logs in", _REMEDY)
    if len(words) > 1 and words[0].lower().startswith(_LIKE_A_TYPE):
        reason = key_fault(text)
        if reason is not None:
            raise fault("bad-ssh-key", f"{shown(text)} {reason}", _REMEDY)
        if any(word in _KEY_TYPES and blob.startswith(_LIKE_A_BLOB) for word, blob in pairwise(words[2:])):
            message = f"{shown(text)} has two keys on one line; the second would be its comment"
            raise fault("bad-ssh-key", message, "write one key an entry of the list")
    elif "://" in text:
        raise fault("bad-ssh-key", f"{shown(text)} is an address, and azlocal fetches no keys", _REMEDY)
    elif any(word in _KEY_TYPES or word.endswith(_CERTIFICATE) for word in words[1:]):
        message = f"{shown(text)} has options before the key, and azlocal itself decides what a login may do"
        raise fault("bad-ssh-key", message, "give the key alone, from its type on")
    elif words[0].startswith(_LIKE_A_BLOB):
        raise fault("bad-ssh-key", f"{shown(text)} is a key without its type", _REMEDY)
    elif any(word.startswith(_LIKE_A_BLOB) for word in words[1:]):
        reason = "has a key behind other words than its type"
        raise fault("bad-ssh-key", f"{shown(text)} {reason}", _REMEDY)
    elif words[0] in (*_KEY_TYPES, "ssh-dss"):
        raise fault("bad-ssh-key", f"{shown(text)} is a type without a key", _REMEDY)
    return text


def unusable_key_files(keys: Iterable[str], directory: Path) -> Iterator[tuple[int, str, str]]:
    """Yield which of the keys is the path of what is here and holds no public key: number, why, remedy."""
    for index, key in enumerate(keys):
        if is_public_key(key):
            continue
        try:
            path = directory / Path(key).expanduser()
            if path.exists():
                _read_key_file(path)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no such home
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            yield index, f"no public key can be read from {shown(key)}: {why}", _REMEDY


def absent_key_files(keys: Iterable[str], directory: Path) -> tuple[int, ...]:
    """Return the numbers of the keys that are paths of files which aren't here; `up` may run where they are."""

    def is_absent(key: str) -> bool:
        try:
            return not (directory / Path(key).expanduser()).exists()
        except (OSError, RuntimeError):
            return False  # unusable_key_files says why

    return tuple(index for index, key in enumerate(keys) if not is_public_key(key) and is_absent(key))


def read_public_keys(keys: Iterable[str], directory: Path) -> tuple[str, ...]:
    """Return the texts of the keys, reading those that were given as a path.

    Args:
        keys: `sshPublicKeys` of the stack.
        directory: The project; relative paths start there, `~` is the user's home.

    Raises:
        SpecError: Files that can't be read or hold no public key; all of them at once.
    """
    texts: list[str] = []
    findings: list[Finding] = []
    for key in keys:
        if is_public_key(key):
            texts.append(key)
            continue
        try:
            texts += _read_key_file(directory / Path(key).expanduser())
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no such home
            message = f"no public key can be read from {shown(key)}: {error}"
            findings.append(Finding("bad-ssh-key", "error", "azlocal:sshPublicKeys", message, _REMEDY))
    if findings:
        raise SpecError(findings)
    return tuple(texts)


def _read_key_file(path: Path) -> list[str]:
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES).decode("utf-8")
    lines = [line.strip() for line in content.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ValueError("it is empty")
    if "PRIVATE KEY" in lines[0]:
        raise ValueError("it holds a private key; the public one is in the .pub file beside it")
    for number, line in enumerate(lines, 1):
        reason = key_fault(line)
        if reason is not None:
            which = f"key {number} of it" if len(lines) > 1 else "what it holds"
            raise ValueError(f"{which} {reason}")
    return lines
