"""The keys that a cluster's Secrets are encrypted with in etcd: which are told to control planes, and since when.

Pure. Where they are written and changed: infra.guest.encryption, infra.stack.rotation.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

ROTATED_AFTER: Final = timedelta(days=30)
"""A key that is older is to be replaced: AKS enabled by Azure Arc does so as often."""

KEY_BYTES: Final = 32
"""What secretbox takes."""
_MOST_RETIRED: Final = 24  # two years of rotations, one a month


@dataclass(frozen=True)
class EncryptionKeys:
    """The keys of a cluster's Secrets, as its stack's state has them: of 32 bytes each, in base64.

    Attributes:
        current: What a control plane that is made now is told: the first one encrypts, all decrypt. None: the
            cluster was founded without.
        retired: What no control plane has any more, the newest first: snapshots from before are read with them.
        made: When each was made, by its name, as RFC 3339 has it, in UTC; where it isn't known, none.
    """

    current: tuple[str, ...] = field(default=(), repr=False)
    retired: tuple[str, ...] = field(default=(), repr=False)
    made: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of those that are told."""
        return tuple(map(key_name, self.current))

    @property
    def by_name(self) -> dict[str, str]:
        """Return all of them by name."""
        return {key_name(key): key for key in (*self.current, *self.retired)}

    @property
    def newest(self) -> str:
        """Return the name of the one among those told that was made last; of which nothing is known, the first."""
        return max(self.names, key=lambda name: self.made.get(name, ""))

    def with_new(self, key: str, now: datetime) -> EncryptionKeys:
        """Return them with one more, which decrypts from now on; it is the newest, whatever the clock says."""
        last = max((datetime.fromisoformat(each) for each in self.made.values()), default=now)
        moment = max(now, last + timedelta(seconds=1) if self.made else now).replace(microsecond=0)
        return replace(
            self,
            current=(*self.current, key),
            made={**self.made, key_name(key): moment.isoformat(timespec="seconds")},
        )

    def telling(self, names: Iterable[str]) -> EncryptionKeys:
        """Return them where those of these names are told, in this order; the others are retired.

        Raises:
            KeyError: There is none of a name.
        """
        known = self.by_name
        current = tuple(known[name] for name in names)
        retired = [key for key in (*self.current, *self.retired) if key not in current][:_MOST_RETIRED]
        names_left = {key_name(key) for key in (*current, *retired)}
        made = {name: moment for name, moment in self.made.items() if name in names_left}
        return EncryptionKeys(current, tuple(retired), made)


def new_encryption_key() -> str:
    """Draw a key."""
    return b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def key_name(key: str) -> str:
    """Return a name that no other key has: etcd has it in clear beside what is encrypted."""
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
