"""`azlocal audit --clean`: what of an instance nothing wants any more is removed, by its mark alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from infra.audit.clean import clean_host
from infra.audit.model import Audit, Item, Place, Scope
from infra.counting import counted
from infra.errors import UserError
from infra.stack.messages import confirmed, say

if TYPE_CHECKING:
    from infra.stack.state import Stack

_SHOWN: Final = 20
_NOT_ON_A_HOST: Final = (
    "isn't on a host: `azlocal arc disconnect`, `azlocal emulator stop --remove` or kubectl remove it"
)


def clean(stack: Stack, audit: Audit, scopes: Sequence[Scope], *, yes: bool) -> bool:
    """Remove what is left on hosts and carries the mark; return whether anything was to be removed.

    Args:
        stack: Whose.
        audit: What was seen.
        scopes: What is to stand on each host, in the audit's order.
        yes: Whether the user has said already that it is meant.

    Raises:
        UserError: It isn't meant; a host is protected, or refuses, since another state has the instance there.
    """
    pairs = [(scope, removable(place)) for scope, place in zip(scopes, audit.hosts, strict=True)]
    pairs = [(scope, items) for scope, items in pairs if items]
    for place in audit.beside:
        for item in place.of("leftover"):
            say(f"{item} {_NOT_ON_A_HOST}")
    if not pairs:
        say(f"nothing on a host carries the mark of {stack.name} and is left over")
        return False
    protected = [scope.host for scope, _ in pairs if scope.is_protected]
    if protected:
        raise UserError(
            f"{', '.join(protected)} has `protected: true` in the hosts file, so nothing is removed, on no host. "
            "Take the key away, or leave the host out with --host"
        )
    for scope, items in pairs:
        say(f"{scope.host}: {counted(len(items), 'object')} of {stack.name} will be removed:")
        for item in items[:_SHOWN]:
            say(f"  {item}")
        if len(items) > _SHOWN:
            say(f"  and {len(items) - _SHOWN} more")
    confirmed(stack.name, "remove them", yes=yes)
    for scope, items in pairs:
        clean_host(scope, items, say)
    return True


def removable(place: Place) -> list[Item]:
    """Return what is left on a host and proven to be the instance's."""
    return [item for item in place.of("leftover") if item.is_certain]
