"""Asks on a link who has some IPv4 addresses, and prints JSON: {address: [hardware address, …]}.

Runs on a host, where only Python's standard library is: python3 - LINK ADDRESS…
An ARP probe carries no sender's address (RFC 5227 §1.1), so nobody's cache changes by it, and the link needs none.
"""

import json
import socket
import struct
import sys
import time

PROBES, APART, WAIT = 3, 0.5, 1.0  # RFC 5227 waits up to 2 s between probes; these links are local
ETHERTYPE = 0x0806
BODY = struct.Struct("!HHBBH6s4s6s4s")
REQUEST, REPLY = 1, 2


def probe(link: str, addresses: list[str]) -> dict[str, list[str]]:
    """Ask three times, and return the hardware addresses that answered for each address."""
    macs: dict[str, set[str]] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as wire:
        wire.bind((link, ETHERTYPE))
        own: bytes = wire.getsockname()[4]
        for last in [False] * (PROBES - 1) + [True]:
            for address in addresses:
                body = BODY.pack(1, 0x0800, 6, 4, REQUEST, own, bytes(4), bytes(6), socket.inet_aton(address))
                wire.send(b"\xff" * 6 + own + struct.pack("!H", ETHERTYPE) + body)
            listen(wire, time.monotonic() + (WAIT if last else APART), macs)
    return {address: sorted(macs[address]) for address in addresses if address in macs}


def listen(wire: socket.socket, deadline: float, macs: dict[str, set[str]]) -> None:
    """Note every reply until the deadline."""
    while (left := deadline - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            frame = wire.recv(1514)
        except TimeoutError:
            return
        body = frame[14 : 14 + BODY.size]
        if len(body) == BODY.size:
            _, _, _, _, operation, sender, address, _, _ = BODY.unpack(body)
            if operation == REPLY:
                macs.setdefault(socket.inet_ntoa(address), set()).add(":".join(f"{byte:02x}" for byte in sender))


if __name__ == "__main__":
    json.dump(probe(sys.argv[1], sys.argv[2:]), sys.stdout)
