"""What can go wrong on a host, and the one place that decides what an error of libvirt means."""

from __future__ import annotations

from typing import Final

import libvirt

from infra.errors import UserError

__all__ = ["HostError", "HostUnreachable", "NoRoom", "NotOurs", "is_connection_lost", "is_missing"]


class HostError(UserError):
    """Something on a host can't be done; the message says what, where, and the remedy."""


class HostUnreachable(HostError):
    """The host didn't answer; nothing is known about what stands on it."""


class NoRoom(HostError):
    """The host has too little memory for one VM more."""


class NotOurs(HostError):
    """An object of that name exists and doesn't carry this resource's mark."""


# Absence is decided by error code, here and nowhere else: a lost connection must never read as "gone".
_MISSING: Final = frozenset(
    {
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_NETWORK,
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
    }
)
# Internal errors are the transport's own, "client socket is closed": those of the host come from another domain.
_LOST: Final = frozenset(
    {
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_RPC,
        libvirt.VIR_ERR_SYSTEM_ERROR,
        libvirt.VIR_ERR_INTERNAL_ERROR,
    }
)


def is_missing(error: libvirt.libvirtError) -> bool:
    """Return whether libvirt says that the object isn't there."""
    return error.get_error_code() in _MISSING


def is_connection_lost(error: libvirt.libvirtError) -> bool:
    """Return whether the call never reached the host, so that nothing can be concluded from it."""
    return error.get_error_code() in _LOST and error.get_error_domain() in (
        libvirt.VIR_FROM_RPC,
        libvirt.VIR_FROM_REMOTE,
    )
