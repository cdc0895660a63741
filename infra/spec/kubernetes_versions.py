"""Kubernetes versions: those that azlocal builds, and those that Azure Local offers (VER).

kubernetes_versions.json has the latter by release of Azure Local, the newest first. A new release is a new entry.
"""

import json
import re
from functools import cache
from pathlib import Path

from infra.model.versions import BUILT
from infra.spec.forms import Form

BUILT_VERSIONS = tuple(built.version for built in BUILT)
"""What node images can carry, the default first."""

DEFAULT_KUBERNETES_VERSION = BUILT_VERSIONS[0]

_FILE = Path(__file__).with_name("kubernetes_versions.json")
_NUMBER = "(0|[1-9][0-9]{0,4})"
_MINOR = re.compile(rf"[^0-9]*({_NUMBER}\.{_NUMBER})(?![0-9])")


@cache
def offered() -> dict[str, tuple[str, ...]]:
    """Return the versions that each release of Azure Local offers, the newest release's first."""
    entries = json.loads(_FILE.read_text(encoding="utf-8"))
    return {release: tuple(entry["versions"]) for entry in entries for release in entry["releases"][::-1]}


def is_offered(version: str) -> bool:
    """Tell whether some release of Azure Local offers a version."""
    return any(version in versions for versions in offered().values())


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by."""
    return tuple(int(part) for part in version.split("."))


def _advise(text: str) -> str:
    """Say what to write instead of what is no version: one that has a future here or on Azure Local."""
    known = sorted(
        {*BUILT_VERSIONS, *(version for some in offered().values() for version in some)}, key=version_key
    )
    plain = text.strip().removeprefix("v").removeprefix("V").strip()
    if plain in known:
        return f"write {plain}"
    minor = _MINOR.match(text)
    patches = [version for version in known if minor and version.startswith(f"{minor[1]}.")]
    built = [version for version in patches if version in BUILT_VERSIONS] or [DEFAULT_KUBERNETES_VERSION]
    advice = f"write {built[-1]}, which azlocal builds"
    others = [version for version in patches if version not in built]
    if patches and minor:
        return f"{advice}; Azure Local has {', '.join(others)} of {minor[1]}" if others else advice
    newest = max(offered())
    return f"{advice}; Azure Local {newest} offers {', '.join(offered()[newest])}"


KUBERNETES_VERSION = Form(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}",
    f"a patch version of Kubernetes: three numbers without a v, as in {DEFAULT_KUBERNETES_VERSION}",
    DEFAULT_KUBERNETES_VERSION,
    advise=_advise,
)
