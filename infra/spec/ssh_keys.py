"""SSH public keys as people give them: the text of a key, or the path of a file that holds it."""

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path

from infra.spec.findings import Finding, SpecError, shown
from infra.spec.types import fault

_MAX_BYTES = 64 * 1024
_KEY_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@", "sk-ecdsa-sha2-")
_REMEDY = "give the text of a .pub file (`ssh-ed25519 AAAA… you@host`), or its path"


def is_public_key(text: str) -> bool:
    """Tell whether the text is one OpenSSH public key."""
    parts = text.split(None, 2)
    if len(parts) < 2 or not text.isprintable() or not parts[0].startswith(_KEY_TYPES):
        return False
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return False
    kind = parts[0].encode()
    return blob[:4] == len(kind).to_bytes(4, "big") and blob[4 : 4 + len(kind)] == kind


def check_public_key(text: str) -> str:
    """Accept a key or something that can be a path; never repeat what may be a private key."""
    if "PRIVATE KEY" in text:
        raise fault("private-ssh-key", "this is a private key", f"remove it from the file at once; {_REMEDY}")
    if not text.strip() or not text.isprintable():
        raise fault("bad-ssh-key", f"{shown(text)} is no public key", _REMEDY)
    if text.startswith(_KEY_TYPES) and not is_public_key(text):
        raise fault("bad-ssh-key", f"{shown(text)} is damaged or cut off", _REMEDY)
    return text


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
    if not lines or not all(is_public_key(line) for line in lines):
        raise ValueError("it holds something else")
    return lines
