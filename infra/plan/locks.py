"""Both lock files of a site: read together, and written in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from infra.plan.addresses import ADDRESS_LOCK, Lock
from infra.plan.lock_file import Update
from infra.plan.placement import PLACEMENT_LOCK, PlacementLock
from infra.spec import InstanceSpec
from infra.spec.reading import addresses_lock, hosts_lock

LockKind = Literal["addressLock", "placementLock"]
"""The lock files: netplans/<site>.lock.yaml, hosts/<site>.lock.yaml."""


@dataclass(frozen=True, slots=True)
class Locks:
    """What a site's plans decided; nothing unless it is told.

    Attributes:
        addresses: Who has which address.
        placement: Which host each machine is on.
    """

    addresses: Lock = field(default_factory=Lock)
    placement: PlacementLock = field(default_factory=PlacementLock)


@dataclass(frozen=True, slots=True)
class Recording:
    """What plans would write into lock files that have to stay as they are.

    Attributes:
        after: What the locks would say.
        absent: Lock files that aren't there, so that nothing holds what they would say.
    """

    after: Locks
    absent: frozenset[LockKind] = frozenset()


@dataclass(frozen=True, slots=True)
class SiteLocks:
    """Both lock files of a site.

    Attributes:
        directory: The project's folder.
        site: The site.
    """

    directory: Path
    site: str

    @classmethod
    def of(cls, spec: InstanceSpec) -> "SiteLocks":
        """Return the lock files of an instance's site."""
        return cls(spec.directory, spec.site)

    @property
    def _paths(self) -> tuple[Path, Path]:
        return addresses_lock(self.directory, self.site), hosts_lock(self.directory, self.site)

    def read(self) -> Locks:
        """Read both; those that aren't there are empty.

        Raises:
            SpecError: One is not a lock.
        """
        addresses, placement = self._paths
        return Locks(ADDRESS_LOCK.read(addresses), PLACEMENT_LOCK.read(placement))

    @property
    def absent(self) -> frozenset[LockKind]:
        """Return which of both aren't there."""
        kinds: tuple[LockKind, LockKind] = ("addressLock", "placementLock")
        return frozenset(kind for kind, path in zip(kinds, self._paths, strict=True) if not path.exists())

    @contextmanager
    def update(self) -> Iterator[Update[Locks]]:
        """Read both, and write what differs in the end, while no other process does.

        Raises:
            SpecError: One is not a lock, or can't be written.
        """
        addresses, placement = self._paths
        with PLACEMENT_LOCK.update(placement) as places, ADDRESS_LOCK.update(addresses) as given_out:
            update = Update(Locks(given_out.lock, places.lock))
            yield update
            given_out.lock, places.lock = update.lock.addresses, update.lock.placement
