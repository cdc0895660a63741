"""Who answers for an IPv4 address on a link: an ARP request, and every reply to it (RFC 826)."""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import IPv4Address

_ETHERTYPE = 0x0806
_BODY = struct.Struct("!HHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2
_ETHERNET, _IPV4 = 1, 0x0800
_HEADER_LENGTH = 14


def answers(link: str, own_address: str, address: str, seconds: float = 2) -> list[str]:
    """Ask once by broadcast and return the hardware addresses that claim the address, sorted, each once."""
    wanted = IPv4Address(address).packed
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE)) as link_socket:
        link_socket.bind((link, _ETHERTYPE))
        own = link_socket.getsockname()[4]
        body = _BODY.pack(_ETHERNET, _IPV4, 6, 4, _REQUEST, own, IPv4Address(own_address).packed, bytes(6), wanted)
        link_socket.send(b"\xff" * 6 + own + struct.pack("!H", _ETHERTYPE) + body)
        return sorted(_claims(link_socket, wanted, time.monotonic() + seconds))


def _claims(link_socket: socket.socket, wanted: bytes, deadline: float) -> set[str]:
    found = set()
    while (left := deadline - time.monotonic()) > 0:
        link_socket.settimeout(left)
        try:
            frame = link_socket.recv(1514)
        except TimeoutError:
            break
        body = frame[_HEADER_LENGTH : _HEADER_LENGTH + _BODY.size]
        if len(body) < _BODY.size:
            continue
        _, _, _, _, operation, sender, sender_address, _, _ = _BODY.unpack(body)
        if operation == _REPLY and sender_address == wanted:
            found.add(sender.hex(":"))
    return found
