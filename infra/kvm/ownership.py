"""The mark on everything azlocal makes in libvirt, and the test that it is there.

Every object's UUID is derived from who it belongs to (instance, stack, kind, name). A UUID is
the one property that domains, networks and pools all have on every libvirt version (networks
carry no metadata before 9.7), so that an object's owner is proven without any record of ours.
Domains carry the full mark as metadata too, for people and for adoption.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Literal

ObjectKind = Literal["domain", "network", "pool", "tunnel", "guard", "gateway", "bridge", "netplan"]


@dataclass(frozen=True)
class Mark:
    """Who an object belongs to.

    Attributes:
        instance: the Azure Local instance.
        stack: the Pulumi stack.
        urn: the resource; says where the object comes from, and plays no part in the test.
    """

    instance: str
    stack: str
    urn: str

    def uuid(self, kind: ObjectKind, name: str) -> str:
        """Return the UUID that the object `name` of this owner has (RFC 9562, version 8: custom)."""
        digest = hashlib.sha256("\0".join(("azlocal", self.instance, self.stack, kind, name)).encode())
        value = int.from_bytes(digest.digest()[:16], "big")
        value = value & ~(0xF << 76) | 8 << 76  # version
        value = value & ~(0b11 << 62) | 0b10 << 62  # variant
        return str(uuid.UUID(int=value))

    def owns(self, kind: ObjectKind, name: str, object_uuid: str) -> bool:
        """Return whether an object with this name and UUID was made for this owner."""
        return object_uuid.lower() == self.uuid(kind, name)

    def refusal(self, kind: ObjectKind, name: str, where: str) -> str:
        """Say why an object is left alone, and what to do."""
        return (
            f"{where}: a {kind} named {name!r} stands there and was not made by instance {self.instance!r} "
            f"of stack {self.stack!r}. azlocal never changes what it did not make: rename or remove it "
            "by hand, or give this stack another name."
        )
