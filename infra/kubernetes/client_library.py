"""The official client library, imported when it is first needed: that takes a third of a second."""

from __future__ import annotations

import threading

_IMPORTING = threading.Lock()


def load_client_library() -> None:
    """Import it, so that what follows finds all of it.

    Its modules import each other in circles. Two threads that begin at different ones wait for each other, which
    Python breaks up: one of them then finds half of a module. So one thread imports all.
    """
    with _IMPORTING:
        import kubernetes.client
        import kubernetes.client.exceptions
        import kubernetes.client.rest
        import kubernetes.config
        import kubernetes.utils.quantity  # noqa: F401
