"""The kernel's mount table."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Mount:
    """One line of it. A shared mount hands mounts below it on to other mount namespaces."""

    target: str
    source: str
    type: str
    shared: bool = False


def parse_mounts(mountinfo: str) -> list[Mount]:
    """Read /proc/self/mountinfo, in which later lines cover earlier ones."""
    mounts = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, (file_system, source) = left.split(), right.split()[:2]
        shared = any(field.startswith("shared:") for field in fields[6:])
        mounts.append(Mount(_unescaped(fields[4]), _unescaped(source), file_system, shared))
    return mounts


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
