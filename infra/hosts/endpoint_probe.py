"""Tries to reach names from where it runs and prints what it met, as JSON. Standard library alone.

Nodes and pods get it as a program; the doctor imports its parts and speaks through a host's SSH connection.
`python3 -c PROGRAM`, with one JSON object on standard input: {"endpoints": [{"name", "port"}], "proxy": URL or
null, "direct": [names that are reached without it], "authorities": PEM or null, "seconds": for each step}. There,
since a proxy's URL may have a password. `python3 PROGRAM INPUT OUTPUT` reads and writes files, and says only what
is blocked: a pod's last message is short.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import pathlib
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterable
from typing import Any

LONGEST_HEAD = 8192
LONGEST_ERROR = 120
MOST = 12  # with a name each, in 4096 bytes
STEPS = 4  # name, connection, TLS, and TLS once more where it isn't trusted


def main() -> None:
    """Read what to look for, look at everything at once, say what was met."""
    if len(sys.argv) > 1:
        source, target = map(pathlib.Path, sys.argv[1:])
        target.write_text(json.dumps(blocked(json.loads(source.read_text()))))
    else:
        json.dump(look_at_all(json.load(sys.stdin)), sys.stdout)


def look_at_all(wanted: dict[str, Any]) -> dict[str, Any]:
    """Look at everything at once."""
    answers: list[dict[str, Any] | None] = [None] * len(wanted["endpoints"])

    def look(number: int, endpoint: dict[str, Any]) -> None:
        answers[number] = reach(endpoint["name"], endpoint["port"], wanted)

    threads = [
        threading.Thread(target=look, args=(number, endpoint), daemon=True)
        for number, endpoint in enumerate(wanted["endpoints"])
    ]
    for thread in threads:
        thread.start()
    # Name resolution can't be given a limit; a name that takes longer than everything else is given up.
    ends = time.monotonic() + STEPS * wanted["seconds"]
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    late = {"stage": "dns", "error": "no answer in time"}
    return {"time": time.time(), "answers": [answer or late for answer in answers]}


def blocked(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what isn't reached, in as few words as a pod's last message may have."""
    report = look_at_all(wanted)
    unreached = [
        {
            "name": endpoint["name"],
            "port": endpoint["port"],
            "stage": met["stage"],
            "error": str(met["error"])[:LONGEST_ERROR],
            "untrusted": bool(met.get("untrusted")),
        }
        for endpoint, met in zip(wanted["endpoints"], report["answers"], strict=True)
        if met["stage"] != "done"
    ]
    return {"time": report["time"], "blocked": unreached[:MOST]}


def reach(name: str, port: int, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what a connection to one endpoint meets, stage by stage: dns, tcp or proxy, tls, done."""
    proxy = None if is_direct(name, wanted["direct"]) else wanted["proxy"]
    met: dict[str, Any] = {"stage": "dns", "error": None, "addresses": [], "proxy": bool(proxy)}

    def connect() -> socket.socket:
        if proxy:
            return through_proxy(proxy, name, port, wanted)  # which resolves the name itself
        return socket.create_connection((name, port), wanted["seconds"])

    try:
        if not proxy:
            met["addresses"] = resolve(name, port)
        met["stage"] = "proxy" if proxy else "tcp"
        stream = connect()
        met["stage"] = "tls"
        try:
            with trusting(wanted["authorities"]).wrap_socket(stream, server_hostname=name) as inside:
                met |= {"stage": "done", "version": inside.version(), "certificate": encoded(inside)}
        except ssl.SSLCertVerificationError as error:
            met |= {"error": error.verify_message, "untrusted": True}
            with unchecked().wrap_socket(connect(), server_hostname=name) as inside:
                met |= {"version": inside.version(), "certificate": encoded(inside)}
    except (OSError, ValueError) as error:
        met["error"] = met["error"] or reason(error)
    return met


def resolve(name: str, port: int) -> list[str]:
    """Return the addresses of a name."""
    infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return sorted({str(info[4][0]) for info in infos})


def through_proxy(url: str, name: str, port: int, wanted: dict[str, Any]) -> socket.socket:
    """Return a connection that an HTTP proxy makes for us."""
    proxy = Proxy(url)
    stream = socket.create_connection((proxy.host, proxy.port), wanted["seconds"])
    if proxy.is_secured:
        stream = trusting(wanted["authorities"]).wrap_socket(stream, server_hostname=proxy.host)
    status = proxy.connect(stream, f"{name}:{port}")
    if not status.startswith("2"):
        raise ConnectionRefusedError(f"the proxy says {status}")
    return stream


class Proxy:
    """An HTTP proxy, by its URL, which may hold a password."""

    def __init__(self, url: str) -> None:
        """Read the URL."""
        parts = urllib.parse.urlsplit(url)
        self.host = parts.hostname or ""
        self.is_secured = parts.scheme == "https"
        self.port = parts.port or (443 if self.is_secured else 80)
        self._headers = []
        if parts.username is not None:
            pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._headers = [f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}"]

    def connect(self, stream: Any, target: str) -> str:
        """Ask for a tunnel (RFC 9110, 9.3.6) and return the status, such as `200 OK`.

        Args:
            stream: A connection to the proxy: anything with a socket's `sendall` and `recv`.
            target: Name and port.
        """
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *self._headers, "", ""]
        stream.sendall("\r\n".join(lines).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            data = stream.recv(1)  # not a byte further: what follows is TLS
            if not data or len(head) > LONGEST_HEAD:
                raise ConnectionResetError("the proxy closed the connection")
            head += data
        return head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 1)[-1]


def trusting(authorities: str | None) -> ssl.SSLContext:
    """Return what this machine trusts, and authorities beside that, PEM."""
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context


def unchecked() -> ssl.SSLContext:
    """Return a context that only shows who signed a certificate; nothing is sent by it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def encoded(inside: ssl.SSLSocket) -> str:
    """Return the other end's certificate."""
    return base64.b64encode(inside.getpeercert(binary_form=True) or b"").decode()


def is_direct(name: str, direct: Iterable[str]) -> bool:
    """Return whether a name is reached without the proxy, as most programs read no_proxy."""
    for entry in direct:
        if entry == "*" or name == entry or name.endswith("." + entry.lstrip("*").lstrip(".")):
            return True
        try:
            if ipaddress.ip_address(name) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def reason(error: Exception) -> str:
    """Return what an error says, without Python's own words around it."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


if __name__ == "__main__":
    main()
