"""The login keys in a machine's `authorized_keys`: azlocal's lines, beside those of others, which stay."""

from __future__ import annotations

from collections.abc import Iterable


def with_keys(text: str, before: Iterable[str], wanted: Iterable[str]) -> str:
    """Return the file's content with other login keys.

    A line is azlocal's where it begins with type and content of a key that azlocal wrote; one with options before
    the key is somebody else's.

    Args:
        text: What the file has.
        before: The OpenSSH public keys that azlocal wrote there, those that stay among them.
        wanted: Those that are to be there.
    """
    missing = {_key(line): line.strip() for line in wanted}
    gone = {_key(line) for line in before} - missing.keys()
    lines = []
    for line in text.splitlines():
        key = _key(line)
        if key in missing:
            lines.append(missing.pop(key))
        elif key not in gone:
            lines.append(line)
    return "".join(f"{line}\n" for line in (*lines, *missing.values()))


def _key(line: str) -> tuple[str, ...]:
    """Return a public key's type and content, without its comment; nothing of an empty line."""
    return tuple(line.split()[:2])
