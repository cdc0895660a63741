"""VLAN tags as they arrive at an interface of this machine."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SOL_PACKET, _PACKET_AUXDATA = 263, 8  # linux/if_packet.h
_ALL_PROTOCOLS = 0x0003
_VLAN_VALID = 1 << 4


@contextmanager
def tags_of(interface: str) -> Iterator[set[int]]:
    """Collect the VLAN ids of the frames that arrive at an interface; the kernel takes tags out of the frames."""
    found: set[int] = set()
    done = threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)) as listener:
        listener.bind((interface, 0))
        listener.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        listener.settimeout(0.5)

        def listen() -> None:
            while not done.is_set():
                try:
                    ancillary = listener.recvmsg(2048, 256)[1]
                except TimeoutError:
                    continue
                for level, kind, data in ancillary:
                    if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                        status, *_, tci, _ = struct.unpack("=IIIHHHH", data[:20])
                        if status & _VLAN_VALID:
                            found.add(tci & 0xFFF)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield found
        finally:
            done.set()
            thread.join()
