"""Where the packages come from: the mirror this machine's apt uses, so that an air-gapped one works."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from infra.image.errors import ImageError
from infra.image.tools import Runner

_VARIABLE: Final = "AZLOCAL_DEBIAN_MIRROR"
_MAIN: Final = "http://deb.debian.org/debian"
_SECURITY: Final = "http://deb.debian.org/debian-security"
_TARGET_FORMAT: Final = "$(REPO_URI)|$(LABEL)"

# apt's own settings that decide whether a mirror can be reached and is believed.
_ACQUIRE: Final = re.compile(
    r"^Acquire::(?:https?::(?:Proxy\b|CaInfo\b|Timeout\b)|Retries|Check-(?:Valid-Until|Date))"
)


def sources_list(suite: str, main: str, security: str | None) -> str:
    """Write apt's one-line sources for a suite."""
    lines = [f"deb {main} {suite} main", f"deb {main} {suite}-updates main"]
    if security:
        lines.append(f"deb {security} {suite}-security main")
    return "\n".join(lines) + "\n"


def official_sources(suite: str) -> str:
    """Return what a node's own apt uses: Debian's servers, never a build machine's mirror."""
    return sources_list(suite, _MAIN, _SECURITY)


def choose_mirror(environment: Mapping[str, str], index_targets: Iterable[str]) -> tuple[str, str | None]:
    """Choose the mirror of the archive and of its security updates.

    Args:
        environment: May have AZLOCAL_DEBIAN_MIRROR: one or two addresses, the second for security.
        index_targets: What apt has fetched, a line each: `address|label`.

    Returns:
        Both addresses; none for security where the user's variable names none.
    """
    chosen = environment.get(_VARIABLE, "").split()
    if chosen:
        return chosen[0], chosen[1] if len(chosen) > 1 else None
    by_label: dict[str, str] = {}
    for line in index_targets:
        address, _, label = line.strip().partition("|")
        by_label.setdefault(label, address.rstrip("/"))
    return by_label.get("Debian", _MAIN), by_label.get("Debian-Security", _SECURITY)


def find_sources(suite: str, environment: Mapping[str, str], run: Runner) -> str:
    """Find the sources to build from: the user's variable, else apt's mirror, else Debian's servers."""
    main, security = choose_mirror(
        environment, _ask_apt(run, ["apt-get", "indextargets", "--format", _TARGET_FORMAT])
    )
    return sources_list(suite, main, security)


def find_apt_options(run: Runner) -> list[str]:
    """Return this machine's apt options that a mirror may need, as `mmdebstrap --aptopt` takes them."""
    return [line for line in _ask_apt(run, ["apt-config", "dump"]) if _ACQUIRE.match(line)]


def _ask_apt(run: Runner, argv: list[str]) -> list[str]:
    # A machine without apt (Fedora, say) can still build with mmdebstrap and the default mirror.
    try:
        return run(argv).splitlines()
    except ImageError:
        return []
