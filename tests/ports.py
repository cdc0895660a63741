"""Ports for servers that can't choose one themselves."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens, and that nobody else is given while this process lives.

    It stays bound here, which the kernel respects wherever it chooses a port; a server that is told this one may
    listen there nevertheless, since it allows addresses to be used again (SO_REUSEADDR), as all servers do.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        holder.detach()  # bound for as long as this process lives
    return port
