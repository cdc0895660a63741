"""Asks state, hosts, clusters and Azure at the same time, with one deadline: what is late is unknown."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from infra.errors import UserError
from infra.in_time import in_time
from infra.kubernetes.api import ClusterError
from infra.model.run import RunSettings
from infra.ssh import ShellError
from infra.stack.observing.stored import state_of
from infra.stack.pool_sizes import pool_sizes_of
from infra.status.judge import judge
from infra.status.model import Source
from infra.status.seen import Observations, SeenCluster, Unseen

if TYPE_CHECKING:
    from infra.plan.instance import Plan
    from infra.plan.topology import Topology
    from infra.spec import InstanceSpec
    from infra.stack.clusters import StackCluster
    from infra.stack.state import Stack
    from infra.status.model import Status

Ask = Callable[[], Any]

SECONDS: Final = 10.0
"""How long everything together may take; what answers at all takes two or three of them, with state in files."""
_HEAD_START: Final = 0.2
"""What is left of it for the answer itself, after a source's own limit."""


@dataclass
class Observer:
    """Looks at a stack, again and again where that is wanted.

    Attributes:
        stack: The stack.
        seconds: How long a look may take.
    """

    stack: Stack
    seconds: float = SECONDS
    _hanging: set[str] = field(default_factory=set)
    _keys: tuple[object, list[StackCluster]] | None = None

    def look(self) -> Status:
        """Look once.

        Raises:
            SpecError: The stack's files can't be read, or their plan is not sound.
            UserError: There is no such stack, or its state can't be read.
        """
        begun, at = time.monotonic(), datetime.now(UTC)
        self.stack.require()
        deployment = self.stack.deployment()
        state = state_of(self.stack, deployment)
        spec, plan, topology = self._planned()
        secrets: Future[list[StackCluster]] = Future()
        asks: dict[str, Ask] = {}
        kubernetes = [cluster for cluster in topology.clusters if cluster.provisioning == "kubernetes"]
        made = [c for c in kubernetes if any(name in state.machines for name in c.machines)]
        if made:
            asks["keys in state"] = lambda: self._unlock(deployment, secrets)
        asks |= self._host_asks(topology, deployment)
        for cluster in made:
            asks |= _cluster_asks(cluster.name, secrets, self.seconds)
        connected = {c.name: c.arc.name for c in made if c.arc is not None}
        arc = topology.arc
        if arc is not None and connected:
            asks["Azure"] = lambda: _azure(spec, arc, connected)
            if arc.is_emulated:
                asks["emulator"] = lambda: _is_emulator_up(topology.instance)
        answers, sources = self._ask(asks, begun + self.seconds)
        azure = answers.get("Azure", Unseen("it was never asked"))
        connections, clock = azure if isinstance(azure, tuple) else (dict.fromkeys(connected, azure), None)
        seen = Observations(
            at,
            time.monotonic() - begun,
            state,
            keys if isinstance(keys := answers.get("keys in state"), Unseen) else None,
            {host.name: answers[f"host {host.name}"] for host in topology.hosts if not host.is_lost},
            {cluster.name: _seen_cluster(cluster.name, answers, secrets) for cluster in made},
            connections,
            clock,
            up if isinstance(up := answers.get("emulator"), bool) else None,
            sources,
        )
        return judge(self.stack.name, topology, plan.addresses, seen)

    def _planned(self) -> tuple[InstanceSpec, Plan, Topology]:
        from infra.plan.instance import plan_instance
        from infra.plan.locks import SiteLocks
        from infra.plan.topology import build_topology
        from infra.spec import load_instance

        sizes = RunSettings(pool_sizes=pool_sizes_of(self.stack))
        spec = load_instance(self.stack.name, self.stack.directory).at(sizes)
        plan = plan_instance(spec, SiteLocks.of(spec).read())
        return spec, plan, build_topology(spec, plan)

    def _unlock(self, deployment: Mapping[str, Any], secrets: Future[list[StackCluster]]) -> None:
        """Have the keys of clusters from state, which takes the engine a second; again only where state is new."""
        from infra.stack.clusters import clusters_of

        version = (deployment.get("manifest") or {}).get("time")
        try:
            if self._keys is None or version is None or self._keys[0] != version:
                self._keys = (version, clusters_of(self.stack))
            secrets.set_result(self._keys[1])
        except Exception as error:
            secrets.set_exception(error)
            raise

    def _host_asks(self, topology: Topology, deployment: Mapping[str, Any]) -> dict[str, Ask]:
        from infra.stack.auditing.scopes import scopes_of
        from infra.stack.observing import hosts

        directories = {scope.connection: scope.directory for scope in scopes_of(self.stack.name, deployment)}
        clusters = [cluster.name for cluster in topology.clusters if cluster.snapshots is not None]

        def asking(connection: str, directory: str) -> Ask:
            return lambda: hosts.look(
                connection, directory, topology.instance, clusters, max(_HEAD_START, self.seconds - _HEAD_START)
            )

        return {
            f"host {host.name}": asking(
                host.connection, directories.get(host.connection) or host.storage_directory
            )
            for host in topology.hosts
            if not host.is_lost
        }

    def _ask(self, asks: Mapping[str, Ask], deadline: float) -> tuple[dict[str, Any], tuple[Source, ...]]:
        """Ask everything at the same time; who still hangs since an earlier look isn't asked again."""

        def ask(name: str) -> tuple[Any, float]:
            begun = time.monotonic()
            try:
                return asks[name](), time.monotonic() - begun
            except (UserError, ShellError, OSError) as error:
                return Unseen(_line(error), isinstance(error, ClusterError)), time.monotonic() - begun
            except Exception as error:  # noqa: BLE001 - the thread's edge: status says that it wasn't looked at
                why = f"azlocal itself failed ({type(error).__name__}: {_line(error)})"
                return Unseen(why), time.monotonic() - begun
            finally:
                self._hanging.discard(name)

        names = [name for name in asks if name not in self._hanging]
        self._hanging.update(names)
        come = dict(zip(names, in_time(ask, names, max(0.0, deadline - time.monotonic())), strict=True))
        late = Unseen(f"no answer within {self.seconds:g} s; --timeout gives it more")
        answers, sources = {}, []
        for name in asks:
            answer, seconds = come.get(name) or (late, self.seconds)
            answers[name] = answer
            failure = answer.why if isinstance(answer, Unseen) else None
            sources.append(Source(name=name, seconds=round(seconds, 2), failure=failure))
        return answers, tuple(sources)


def _cluster_asks(name: str, secrets: Future[list[StackCluster]], seconds: float) -> dict[str, Ask]:
    from infra.kubernetes.client_library import load_client_library
    from infra.stack.observing import clusters

    def ready() -> StackCluster:
        return _unlocked(name, secrets.result(seconds))

    def objects() -> Any:
        load_client_library()  # half a second, while the engine looks for the keys
        return clusters.objects_of(ready(), seconds)

    return {
        f"API of cluster {name}": objects,
        f"API servers of cluster {name}": lambda: clusters.silent_of(ready()),
        f"etcd of cluster {name}": lambda: clusters.etcd_of(ready()),
        f"certificates of cluster {name}": lambda: clusters.ends_of_servers(ready()),
    }


def _unlocked(name: str, clusters: list[StackCluster]) -> StackCluster:
    for cluster in clusters:
        if cluster.name == name:
            return cluster
    raise UserError("state has no keys of it yet")


def _seen_cluster(name: str, answers: Mapping[str, Any], secrets: Future[list[StackCluster]]) -> SeenCluster:
    from infra.stack.observing.clusters import end_of_administrator

    end = None
    if secrets.done() and secrets.exception() is None:  # else the answers say why
        (kubeconfig, *_) = [*(c.placement.kubeconfig for c in secrets.result() if c.name == name), ""]
        end = end_of_administrator(kubeconfig) if kubeconfig else None
    return SeenCluster(
        answers[f"API of cluster {name}"],
        answers[f"API servers of cluster {name}"],
        answers[f"etcd of cluster {name}"],
        answers[f"certificates of cluster {name}"],
        end,
    )


def _azure(spec: InstanceSpec, arc: Any, connected: Mapping[str, str]) -> Any:
    from infra.stack.observing.azure import connections_of

    return connections_of(spec, arc, connected)


def _is_emulator_up(instance: str) -> bool:
    from infra.stack.observing.azure import is_emulator_up

    return is_emulator_up(instance)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
