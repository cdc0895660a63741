"""The loop behind `azlocal autoscale --serve`: brings pools to the sizes that upstream asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from infra.counting import counted
from infra.errors import UserError
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.scheduling import mark_for_upstream
from infra.model.run import PoolSizes
from infra.spec import load_instance
from infra.stack.autoscale import Autoscaler
from infra.stack.external_grpc.certificates import ensure
from infra.stack.external_grpc.groups import Groups, provider_id
from infra.stack.external_grpc.service import Service, start
from infra.stack.messages import say
from infra.stack.pool_sizes import pool_sizes_of
from infra.stack.scaling_view import pools_of, scaling_clusters

_PAUSE: Final = 2.0
_ENDS: Final = 2.0
"""Seconds that calls have which are under way at the end."""


@dataclass
class Served:
    """Serves a cluster's pools.

    Attributes:
        scaler: Runs the engine, and waits for others.
        groups: The sizes that are asked for.
    """

    scaler: Autoscaler
    groups: Groups = field(init=False)

    def run(self, address: str) -> int:
        """Serve until somebody asks for the end; return 0 then.

        Args:
            address: HOST:PORT.

        Raises:
            UserError: There is no one cluster that scales, or the address can't be had.
        """
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise UserError(f"{address!r} is no address to serve at; write HOST:PORT, such as 127.0.0.1:8086")
        stack = self.scaler.stack
        self.groups = Groups(stack.name, self._cluster())
        folder = stack.directory / ".azlocal" / "autoscaler"
        ensure(folder, host)
        self.look()
        server, bound = start(Service(self.groups), address, folder)
        say(
            f"the pools of cluster {self.groups.cluster} are served at {host}:{bound} by upstream's protocol "
            f"externalgrpc, to who has client.crt and client.key of {folder}"
        )
        try:
            while not self.scaler.signals.came:
                try:
                    self.look()
                except UserError as error:
                    say(str(error))
                self.scaler.signals.wait(_PAUSE)
        finally:
            server.stop(_ENDS).wait()
        say("stopped; what stands stays as it is")
        return 0

    def look(self) -> None:
        """Take the sizes that stand, and bring pools to those that are asked for.

        Raises:
            UserError: The stack or the cluster can't be asked.
        """
        sizes = self._renew()
        self._mark(self.scaler.api(self.groups.cluster))
        changes = self.groups.changes()
        if not changes:
            return
        self.scaler.wait_for_others()
        asks = ", ".join(f"{pool} has {counted(size, 'node')}" for pool, size in changes.items())
        say(f"cluster {self.groups.cluster}: upstream asks that {asks}")
        cluster = self.groups.cluster
        code = self.scaler.resize(
            self.scaler.stack,
            {**sizes, cluster: {**sizes.get(cluster, {}), **changes}},
            *self.scaler.options,
        )
        if code:
            say(f"cluster {cluster}: the run failed; upstream sees the sizes that stand, and may ask again")
        self._renew(forget=bool(code))

    def _renew(self, *, forget: bool = False) -> PoolSizes:
        stack = self.scaler.stack
        spec = load_instance(stack.name, stack.directory)
        sizes = pool_sizes_of(stack)
        self.groups.renew(pools_of(spec, self.groups.cluster, sizes), forget=forget)
        return sizes

    def _mark(self, api: ClusterApi) -> None:
        pools = self.groups.pools()
        ids = {machine: provider_id(self.groups.instance, machine) for pool in pools for machine in pool.machines}
        last = {pool.machines[self.groups.target(pool) - 1] for pool in pools}
        mark_for_upstream(api, ids, last)

    def _cluster(self) -> str:
        stack = self.scaler.stack
        names: Sequence[str] = [
            cluster.name
            for cluster in scaling_clusters(load_instance(stack.name, stack.directory), self.scaler.cluster)
        ]
        if len(names) > 1:
            raise UserError(f"one cluster is served at an address; name it with --cluster: {', '.join(names)}")
        return names[0]
