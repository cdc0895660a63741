"""When the certificates of a cluster's control planes end: as they serve them, or as a silent one's file says.

An API server that was told to end serves nothing for up to a minute before its process is gone; one whose
certificates have ended may never serve again, since etcd refuses it. Neither may hide that it has to be renewed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from infra.kubernetes.certificates import authority_of, ends_of, written_end
from infra.provider.kinds.cluster_base import Login
from infra.resources.control_plane import Member
from infra.ssh import ShellError

_FILE: Final = "/etc/kubernetes/pki/apiserver.crt"
_READ_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Ends:
    """What control planes told.

    Attributes:
        seen: When the certificate ends, by control plane.
        untold: Why that isn't known, by control plane.
    """

    seen: Mapping[str, datetime]
    untold: Mapping[str, str]


def served(planes: Sequence[Member], kubeconfig: str) -> dict[str, datetime]:
    """Return when the certificates end that API servers serve now; who is silent is left out."""
    return ends_of({member.name: member.address for member in planes}, authority_of(kubeconfig))


def look(planes: Sequence[Member], kubeconfig: str, login: Login) -> Ends:
    """Ask all API servers; read the file of each that is silent, or serves what isn't its cluster's.

    Args:
        planes: The control planes.
        kubeconfig: An administrator's.
        login: Opens a shell on one of them, as somebody who may become root.
    """
    seen = served(planes, kubeconfig)
    silent = [member for member in planes if member.name not in seen]
    if not silent:
        return Ends(seen, {})
    authority = authority_of(kubeconfig)
    with ThreadPoolExecutor(len(silent)) as pool:
        outcomes = list(pool.map(lambda member: _written(member, authority, login), silent))
    read = {member.name: end for member, end in zip(silent, outcomes, strict=True) if isinstance(end, datetime)}
    untold = {member.name: why for member, why in zip(silent, outcomes, strict=True) if isinstance(why, str)}
    return Ends(seen | read, untold)


def _written(member: Member, authority: str, login: Login) -> datetime | str:
    """Return when the certificate in a control plane's file ends, or why that isn't known."""
    try:
        with login(member) as shell:
            text = shell.run(["sudo", "cat", _FILE], timeout=_READ_SECONDS).stdout
    except ShellError as error:
        return str(error)
    return written_end(text, authority) or f"{_FILE} there holds no certificate of this cluster"
