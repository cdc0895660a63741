"""The sizes that upstream asks for, and those that stand.

A call has five seconds, and a node takes longer: so a call only says how large a pool is to be, and the loop
brings it there, one run at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from infra.errors import UserError
from infra.lifecycle.scaling.view import Pool


class Refused(UserError):
    """A pool can't get the size that is asked for."""


def provider_id(instance: str, machine: str) -> str:
    """Return by which id nodes and the protocol know a machine."""
    return f"azlocal://{instance}/{machine}"


@dataclass
class Groups:
    """A cluster's pools that scale.

    Attributes:
        instance: The instance.
        cluster: The cluster.
    """

    instance: str
    cluster: str
    _pools: dict[str, Pool] = field(default_factory=dict)
    _wanted: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def renew(self, pools: Iterable[Pool], *, forget: bool = False) -> None:
        """Take the pools as they stand.

        Args:
            pools: The pools.
            forget: Give up what was asked for and didn't come, so that upstream sees it: a run failed.
        """
        with self._lock:
            self._pools = {pool.name: pool for pool in pools}
            if forget:
                self._wanted.clear()
            self._wanted = {
                name: size
                for name, size in self._wanted.items()
                if name in self._pools and size != self._pools[name].size
            }

    def changes(self) -> Mapping[str, int]:
        """Return the sizes that are to come, of pools that haven't got theirs."""
        with self._lock:
            return dict(self._wanted)

    def pools(self) -> list[Pool]:
        """Return the pools as they stand."""
        with self._lock:
            return [*self._pools.values()]

    def id_of(self, pool: Pool) -> str:
        """Return by what the protocol knows a pool."""
        return f"{self.cluster}/{pool.name}"

    def pool(self, id: str) -> Pool:
        """Return a pool.

        Raises:
            KeyError: There is none.
        """
        return {self.id_of(pool): pool for pool in self.pools()}[id]

    def pool_of(self, machine: str) -> Pool | None:
        """Return the pool of a machine; None where it is of none that scales."""
        return next((pool for pool in self.pools() if machine in pool.machines), None)

    def target(self, pool: Pool) -> int:
        """Return the size that a pool has, or is to have."""
        with self._lock:
            return self._wanted.get(pool.name, pool.size)

    def grow(self, pool: Pool, delta: int) -> None:
        """Have a pool grow.

        Raises:
            Refused: By nothing, or over its bound.
        """
        size = self.target(pool) + delta
        if delta < 1 or size > pool.most:
            raise Refused(f"pool {pool.name} can't grow by {delta} to {size}: its maxCount is {pool.most}")
        self._set(pool, size)

    def cancel(self, pool: Pool, delta: int) -> None:
        """Give up nodes that were asked for and don't stand yet.

        Raises:
            Refused: They stand.
        """
        size = self.target(pool) + delta
        if delta > -1 or size < pool.size:
            raise Refused(
                f"pool {pool.name} has {pool.size} nodes already; only those that don't stand are given up"
            )
        self._set(pool, size)

    def remove(self, pool: Pool, machines: Iterable[str]) -> None:
        """Have nodes of a pool go: only those with the highest numbers can.

        Raises:
            Refused: Another one is meant, or the pool would be too small.
        """
        gone = set(machines)
        target = self.target(pool)
        size = target - len(gone)
        last = set(pool.machines[max(size, 0) : target])
        if gone != last:
            raise Refused(
                f"{', '.join(sorted(gone))} can't go from pool {pool.name}: machines are numbered, and only the "
                f"highest numbers can ({', '.join(sorted(last)) or 'none'})"
            )
        if size < pool.least:
            raise Refused(f"pool {pool.name} can't shrink to {size}: its minCount is {pool.least}")
        self._set(pool, size)

    def _set(self, pool: Pool, size: int) -> None:
        with self._lock:
            self._wanted[pool.name] = size
